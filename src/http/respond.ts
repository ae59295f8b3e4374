import { NixeryError } from '../errors.ts'
import type { ClientOf } from './address.ts'
import { authorize } from './authorize.ts'
import { failureReply, registryReply, type RegistryDeps } from './registry.ts'
import { isStream, type OpenBody, type Reply, type RoutedReply } from './reply.ts'
import { privately } from './private.ts'
import type { HttpRequest } from './request.ts'
import type { RouteTable, TableRoute } from './route-table.ts'
import { tokenPath } from './token.ts'
import type { Streams } from './streams.ts'

export type RespondDeps = RegistryDeps & {
  /** The token endpoint, `/token`. */
  readonly tokens?: TableRoute | undefined
  /** Routes for operators, such as `/healthz`. */
  readonly ops?: RouteTable | undefined
  /** Whether nothing else is served, not even images. */
  readonly opsAlone?: boolean | undefined
  /** For people. */
  readonly pages?: RouteTable | undefined
  /** Redirects a browser that must log in to the login page; undefined for other clients and failures. */
  readonly loginFor?: ((request: HttpRequest, error: unknown) => Reply | undefined) | undefined
  /** Limits the number of bodies sent at the same time. */
  readonly streams?: Pick<Streams, 'bound'> | undefined
  /** Identifies the client whose share of them is used. */
  readonly clientOf?: ClientOf | undefined
}

/**
 * The reply to a request, from the registry, the operator's routes, or the pages. Synchronous if nothing must be
 * awaited. Does not fail: failures are replies.
 */
export function respond(deps: RespondDeps, request: HttpRequest): RoutedReply | Promise<RoutedReply> {
  const { path } = request
  if (deps.opsAlone === true) return tableReply(deps, request, 'ops', deps.ops?.(path))
  if (path.startsWith('/v2/') || path === '/v2') return registryReply(deps, request)
  if (deps.tokens && path === tokenPath) return tableReply(deps, request, 'token', deps.tokens)
  const ops = deps.ops?.(path)
  return ops ? tableReply(deps, request, 'ops', ops) : tableReply(deps, request, 'page', deps.pages?.(path))
}

// Node's parser accepts these, but no page supports them.
const unsupported: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK'])

async function tableReply(
  deps: RespondDeps,
  request: HttpRequest,
  kind: 'token' | 'ops' | 'page',
  route: TableRoute | undefined,
): Promise<RoutedReply> {
  const routed = (reply: Reply): RoutedReply => ({
    kind,
    reply: deps.guard && route?.subject !== 'public' ? privately(reply) : reply,
  })
  try {
    if (!route)
      throw new NixeryError(
        'ROUTE_UNKNOWN',
        deps.opsAlone === true
          ? 'not found: this is a worker, which serves no images'
          : 'not found: this registry has no pages',
      )
    if (unsupported.has(request.method)) throw new NixeryError('UNSUPPORTED', 'this server is read-only')
    await authorize(deps, request, route.action, route.subject)
    return routed(await route.reply(request))
  } catch (error) {
    const login = kind === 'page' ? deps.loginFor?.(request, error) : undefined
    return routed(login ?? failureReply(deps, request, error))
  }
}

/** Opens the body of a reply. If that fails, the failure becomes the reply. */
export async function openBody(
  deps: RespondDeps,
  request: HttpRequest,
  reply: Reply,
): Promise<{ reply: Reply; opened: OpenBody | undefined }> {
  if (request.method === 'HEAD' || !isStream(reply.body)) return { reply, opened: undefined }
  const client = deps.clientOf?.(request.peer(), request.header('x-forwarded-for'))
  const { body } = deps.streams?.bound(reply, client) ?? reply
  if (!isStream(body)) return { reply, opened: undefined }
  try {
    return { reply, opened: await body.open() }
  } catch (error) {
    return { reply: failureReply(deps, request, error), opened: undefined }
  }
}
