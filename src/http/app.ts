import type { IncomingMessage, ServerResponse } from 'node:http'
import { getRequestListener } from '@hono/node-server'
import { askOfIncoming, askOfRequest } from './ask.ts'
import { failureReply, registryReply, type Kind, type RegistryDeps } from './registry.ts'
import { isStream, type Ask, type Opened, type Reply } from './reply.ts'
import { send, toResponse } from './send.ts'
import type { Streams } from './streams.ts'

/** A request that was answered. `path` and `userAgent` are as the client sent them: data only. */
export type Answered = {
  readonly id: string
  readonly kind: Kind | 'ops' | 'page'
  readonly method: string
  readonly path: string
  readonly status: number
  /** Until the last byte was handed over. */
  readonly ms: number
  /** Of the body, as far as it was sent. */
  readonly bytes: number
  readonly userAgent: string | undefined
  readonly error?: unknown
}

export type AppDeps = RegistryDeps & {
  /** Answers for those who run the server, such as `/healthz`; undefined for what is not theirs. */
  readonly ops?: ((ask: Ask) => Promise<Reply> | Reply | undefined) | undefined
  /** Bounds the bodies that are sent at once. */
  readonly streams?: Pick<Streams, 'bound'> | undefined
  /** Answers whatever nobody else does: pages for people. */
  readonly pages: { fetch(request: Request): Response | Promise<Response> }
  readonly listener: (answered: Answered) => void
}

/** The registry as a value, with two doors that lead to the same answers. */
export type App = {
  /** Answers a request of Node's server. Must be given to it; does not fail. */
  answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void>
  /** Answers without a server. */
  fetch(request: Request): Promise<Response>
  /** The same, for an address such as `/v2/`. */
  request(address: string, init?: RequestInit): Promise<Response>
}

/**
 * Puts the registry together. Most of what a server does costs more than a warm answer itself, so requests of Node's
 * server do not pass through web Requests and Responses, which pages do.
 */
export function createApp(deps: AppDeps): App {
  const page = async (request: Request): Promise<Response> => {
    const tell = stopwatch(deps, askOfRequest(request))
    return pageFor(deps, tell, request)
  }
  const pages = getRequestListener(page, { overrideGlobalObjects: false })

  const app: App = {
    async answer(incoming, outgoing) {
      const ask = askOfIncoming(incoming, outgoing)
      const tell = stopwatch(deps, ask)
      const found = await replyTo(deps, ask)
      if (!found) return pages(incoming, outgoing)
      const { reply, opened } = await openBody(deps, ask, found.reply)
      try {
        const sent = await send(outgoing, reply, ask, opened)
        tell(found.kind, reply.status, sent.bytes, sent.error ?? reply.error)
      } catch (error) {
        outgoing.destroy() // a bug, and perhaps half an answer
        tell(found.kind, 500, 0, error)
      }
    },
    async fetch(request) {
      const ask = askOfRequest(request)
      const tell = stopwatch(deps, ask)
      const found = await replyTo(deps, ask)
      if (!found) return pageFor(deps, tell, request)
      const { reply, opened } = await openBody(deps, ask, found.reply)
      tell(found.kind, reply.status, 0, reply.error)
      return toResponse(reply, ask, opened)
    },
    request: (address, init) => app.fetch(new Request(new URL(address, 'http://localhost'), init)),
  }
  return app
}

type Tell = ReturnType<typeof stopwatch>

/** Begins to count time; to be called when the request is answered. */
function stopwatch({ listener }: AppDeps, ask: Ask) {
  const started = performance.now()
  const { id, method, path } = ask
  const tell = (kind: Answered['kind'], status: number, bytes: number, error: unknown): void => {
    const ms = performance.now() - started
    const userAgent = ask.header('user-agent')
    listener({ id, kind, method, path, status, ms, bytes, userAgent, ...(error !== undefined && { error }) })
  }
  return Object.assign(tell, { id })
}

type Found = { readonly kind: Answered['kind']; readonly reply: Reply }

/** The registry's answer, or that of whoever else this is for; undefined for pages. */
function replyTo(deps: AppDeps, ask: Ask): Promise<Found> | Promise<Found | undefined> | undefined {
  if (ask.path.startsWith('/v2/') || ask.path === '/v2') return registryReply(deps, ask)
  return deps.ops && opsReply(deps, deps.ops, ask)
}

async function opsReply(
  deps: AppDeps,
  ops: NonNullable<AppDeps['ops']>,
  ask: Ask,
): Promise<Found | undefined> {
  try {
    const reply = await ops(ask)
    return reply && { kind: 'ops', reply }
  } catch (error) {
    return { kind: 'ops', reply: failureReply(deps, ask, error) }
  }
}

/** Opens a body that is to be sent. If it cannot be opened, that is the answer. */
async function openBody(
  deps: AppDeps,
  ask: Ask,
  reply: Reply,
): Promise<{ reply: Reply; opened: Opened | undefined }> {
  const { body } = deps.streams?.bound(reply) ?? reply
  if (ask.method === 'HEAD' || !isStream(body)) return { reply, opened: undefined }
  try {
    return { reply, opened: await body.open() }
  } catch (error) {
    return { reply: failureReply(deps, ask, error), opened: undefined }
  }
}

async function pageFor(deps: AppDeps, tell: Tell, request: Request): Promise<Response> {
  try {
    const response = await deps.pages.fetch(request)
    response.headers.set('X-Request-Id', tell.id)
    tell('page', response.status, Number(response.headers.get('Content-Length') ?? 0), undefined)
    return response
  } catch (error) {
    const { method } = request
    const ask = { ...askOfRequest(request), id: tell.id, method }
    const reply = failureReply(deps, ask, error)
    tell('page', reply.status, 0, error)
    return toResponse(reply, ask, undefined)
  }
}
