import {
  isRefusal,
  noCredentials,
  parseAuthorization,
  type Authenticate,
  type Credentials,
  type Outcome,
} from '../access/credentials.ts'
import { anonymous, type Identity } from '../access/identity.ts'
import type { May } from '../access/may.ts'
import { NixeryError } from '../errors.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import type { RequestAddress } from './address.ts'
import { unverified } from './authorize.ts'
import type { AuditListener } from './audit.ts'
import { refused } from './guard.ts'
import type { RequestQuotas } from './quotas.ts'
import { textReply, type Reply } from './reply.ts'
import type { HttpRequest } from './request.ts'
import type { TableRoute } from './route-table.ts'
import type { createRoutes } from './route.ts'

export type TokenDeps = {
  /** Verifies names and passwords, and other credentials sent as a password. */
  readonly authenticate: Authenticate
  readonly addressOf?: RequestAddress | undefined
  readonly tokens: {
    issue(
      identity: Identity,
      repositories: ReadonlySet<string>,
    ): Promise<{ readonly token: string; readonly issuedAt: number; readonly expiresIn: number }>
    issueRefresh(identity: Identity): Promise<string | undefined>
    redeem(refreshToken: string): Promise<Outcome>
  }
  readonly may: May
  readonly routeOf: ReturnType<typeof createRoutes>
  readonly quotas?: RequestQuotas | undefined
  readonly audit?: AuditListener | undefined
}

/** The token endpoint, on the registry's own host: crane refuses others (go-containerregistry, bearer.go). */
export const tokenPath = '/token'

// The maximum size of a form in bytes, and the maximum number of scopes. Clients send a few hundred bytes and one to
// three scopes.
const largestForm = 32 * 1024
const mostScopes = 64

/** The request of a client. */
type Asked = {
  readonly credentials: Credentials | { readonly kind: 'refresh'; readonly token: string }
  readonly scopes: readonly string[]
  readonly offline: boolean
}

/**
 * The token endpoint: GET with Basic credentials or none (distribution spec, "Token Authentication Specification"), and
 * POST of a form (the same, "OAuth2 Token Authentication"). A client gets a token for everything that it requests, even
 * if it lacks the permission: permissions are checked at each request, so that changes take effect at once.
 */
export function createTokenRoute(deps: TokenDeps): TableRoute {
  const answer = async (request: HttpRequest): Promise<Reply> => {
    await deps.quotas?.request(request)
    const { credentials, scopes, offline } = await readAsked(request)
    const identity = await identityOf(deps, request, credentials)
    request.identity = identity
    if (identity.how !== 'anonymous') deps.audit?.({ event: 'login', request })
    const requested = new Map(scopes.slice(0, mostScopes).flatMap((scope) => repositoryIn(deps, scope)))
    const { token, issuedAt, expiresIn } = await deps.tokens.issue(identity, new Set(requested.keys()))
    const refreshToken = offline ? await deps.tokens.issueRefresh(identity) : undefined
    const granted = [...requested.values()].filter(({ imageRequest }) =>
      deps.may(identity, 'pull', { imageRequest }),
    )
    const body = {
      // The name used by Docker, and that of OAuth; clients read one of them.
      token,
      access_token: token,
      expires_in: expiresIn,
      issued_at: new Date(issuedAt * 1000).toISOString(),
      scope: granted.map(({ name }) => `repository:${name}:pull`).join(' '),
      ...(refreshToken !== undefined && { refresh_token: refreshToken }),
    }
    return textReply(200, 'application/json', JSON.stringify(body), { 'Cache-Control': 'no-store' })
  }
  return {
    action: 'pull',
    // The identity is determined here, with different rules.
    subject: 'public',
    reply: (request) =>
      request.method === 'GET' || request.method === 'POST'
        ? answer(request)
        : textReply(405, 'text/plain; charset=utf-8', 'use GET or POST\n', { Allow: 'GET, POST' }),
  }
}

async function identityOf(
  deps: TokenDeps,
  request: HttpRequest,
  credentials: Asked['credentials'],
): Promise<Identity> {
  const outcome = await Promise.resolve(outcomeOf(deps, request, credentials)).catch((error: unknown) =>
    unverified(deps, request, error),
  )
  if (isRefusal(outcome)) throw refused(outcome.refused)
  return outcome
}

function outcomeOf(
  deps: TokenDeps,
  request: HttpRequest,
  credentials: Asked['credentials'],
): Outcome | Promise<Outcome> {
  if (credentials.kind === 'none') return request.certificate() ?? anonymous
  return credentials.kind === 'refresh'
    ? deps.tokens.redeem(credentials.token)
    : deps.authenticate(credentials, deps.addressOf?.(request))
}

async function readAsked(request: HttpRequest): Promise<Asked> {
  if (request.method === 'GET') {
    const query = new URLSearchParams(request.query)
    const credentials = parseAuthorization(request.header('authorization'))
    if (!credentials) throw refused()
    return { credentials, scopes: scopesIn(query), offline: query.get('offline_token') === 'true' }
  }
  const form = new URLSearchParams(await request.body(largestForm))
  return {
    credentials: credentialsIn(form),
    scopes: scopesIn(form),
    offline: form.get('access_type') === 'offline',
  }
}

function credentialsIn(form: URLSearchParams): Asked['credentials'] {
  const [username, password, refreshToken] = ['username', 'password', 'refresh_token'].map(
    (name) => form.get(name) ?? '',
  )
  const grant = form.get('grant_type')
  if (grant === 'refresh_token') return { kind: 'refresh', token: refreshToken ?? '' }
  if (grant !== 'password') {
    throw new NixeryError('REQUEST_INVALID', 'grant_type must be password or refresh_token')
  }
  // Sent by clients without credentials.
  if (username === '' && password === '') return noCredentials
  return { kind: 'basic', name: username ?? '', password: password ?? '' }
}

/** Each field may contain several, separated by spaces. */
const scopesIn = (fields: URLSearchParams): string[] =>
  fields.getAll('scope').flatMap((text) => text.split(' ').filter((scope) => scope !== ''))

/**
 * The repository of a scope `repository:NAME:ACTIONS`, as written in tokens; empty for other scopes and invalid names.
 * Names may have colons (distribution spec, "Token Scope").
 */
function repositoryIn(
  { routeOf }: TokenDeps,
  scope: string,
): [spelling: string, repository: { readonly name: string; readonly imageRequest: ImageRequest }][] {
  const name = /^repository(?:\([^)]*\))?:(?<name>.+):[^:]*$/.exec(scope)?.groups?.['name']
  if (name === undefined) return []
  try {
    const route = routeOf('GET', `/v2/${name}/tags/list`)
    if (!('imageRequest' in route)) return []
    const { imageRequest } = route
    return [[formatImageName(imageRequest), { name, imageRequest }]]
  } catch {
    return []
  }
}
