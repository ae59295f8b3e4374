import type { IncomingMessage, ServerResponse } from 'node:http'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { NixeryError } from '../errors.ts'
import type { ClientOf } from './address.ts'
import { askOfIncoming, askOfRequest } from './ask.ts'
import { errorReply } from './errors.ts'
import { failureReply, registryReply, type Kind, type RegistryDeps } from './registry.ts'
import { isStream, type Ask, type Opened, type Reply } from './reply.ts'
import { send, sendWhole, toResponse } from './send.ts'
import type { Streams } from './streams.ts'
import { checkRequest } from './validity.ts'

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
  /** Tells whose share of them a client takes. */
  readonly clientOf?: ClientOf | undefined
  /** Answers whatever nobody else does: pages for people. Without it, there is nothing else. */
  readonly pages?: { fetch(request: Request): Response | Promise<Response> } | undefined
  readonly listener: (answered: Answered) => void
}

/** The registry as a value, with two doors that lead to the same answers. */
export type App = {
  /** Answers a request of Node's server. Must be given to it; does not fail. */
  answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> | void
  /**
   * The answer to what is not a request that can be answered, told to the listener as well.
   * @param status instead of the failure's usual one
   */
  refuse(request: Pick<Ask, 'method' | 'path'>, failure: NixeryError, status?: number): Reply
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
  const answerLater = async (
    ask: Ask,
    outgoing: ServerResponse,
    answer: Found | Promise<Found>,
    tell: ReturnType<typeof stopwatch>,
  ) => {
    const found = await answer
    // Of pipelined requests each has to wait for its turn: until then it holds no stream.
    if (!outgoing.socket && isStream(found.reply.body)) await turnOf(outgoing)
    const { reply, opened } = await openBody(deps, ask, found.reply)
    try {
      const sent = await send(outgoing, reply, ask, opened)
      tell(found.kind, reply.status, sent.bytes, sent.error ?? reply.error)
    } catch (error) {
      outgoing.destroy() // a bug, and perhaps half an answer
      tell(found.kind, 500, 0, error)
    }
  }
  const app: App = {
    answer(incoming, outgoing) {
      const ask = askOfIncoming(incoming, outgoing)
      const tell = stopwatch(deps, ask)
      const found = refusalOf(deps, ask, incoming) ?? replyTo(deps, ask, () => webRequest(ask, incoming))
      if (found instanceof Promise || isStream(found.reply.body))
        return answerLater(ask, outgoing, found, tell)
      try {
        const { bytes } = sendWhole(outgoing, found.reply, ask)
        tell(found.kind, found.reply.status, bytes, found.reply.error)
      } catch (error) {
        outgoing.destroy() // a bug, and perhaps half an answer
        tell(found.kind, 500, 0, error)
      }
      return undefined
    },
    refuse({ method, path }, failure, status) {
      const id = randomUUID()
      const reply = errorReply(failure, deps.texts, status === undefined ? {} : { status })
      const length = Number(reply.headers['Content-Length'])
      const told = {
        id,
        kind: 'unreadable',
        method,
        path,
        ms: 0,
        bytes: length,
        userAgent: undefined,
      } as const
      deps.listener({ ...told, status: reply.status, error: failure })
      return { ...reply, headers: { ...reply.headers, 'X-Request-Id': id } }
    },
    async fetch(request) {
      const ask = askOfRequest(request)
      const tell = stopwatch(deps, ask)
      const found = await replyTo(deps, ask, () => request)
      const { reply, opened } = await openBody(deps, ask, found.reply)
      tell(found.kind, reply.status, 0, reply.error)
      return toResponse(reply, ask, opened)
    },
    request: (address, init) => app.fetch(new Request(new URL(address, 'http://localhost'), init)),
  }
  return app
}

/** Comes back when an answer is the next on its connection, or has lost it. */
async function turnOf(outgoing: ServerResponse): Promise<void> {
  const over = new AbortController()
  const { signal } = over
  await Promise.race([once(outgoing, 'socket', { signal }), once(outgoing, 'close', { signal })])
  over.abort()
}

/** Begins to count time; to be called when the request is answered. */
function stopwatch({ listener }: AppDeps, ask: Ask) {
  const started = performance.now()
  const { id, method, path } = ask
  return (kind: Answered['kind'], status: number, bytes: number, error: unknown): void => {
    const ms = performance.now() - started
    const userAgent = ask.header('user-agent')
    listener({ id, kind, method, path, status, ms, bytes, userAgent, ...(error !== undefined && { error }) })
  }
}

type Found = { readonly kind: Answered['kind']; readonly reply: Reply }

function refusalOf(deps: AppDeps, ask: Ask, incoming: IncomingMessage): Found | undefined {
  try {
    checkRequest(incoming)
    return undefined
  } catch (error) {
    return { kind: 'unreadable', reply: failureReply(deps, ask, error) }
  }
}

/** The answer of the registry, of the operator's routes, or of the pages. */
function replyTo(deps: AppDeps, ask: Ask, request: () => Request): Found | Promise<Found> {
  if (ask.path.startsWith('/v2/') || ask.path === '/v2') return registryReply(deps, ask)
  return otherReply(deps, ask, request)
}

async function otherReply(deps: AppDeps, ask: Ask, request: () => Request): Promise<Found> {
  try {
    const reply = await deps.ops?.(ask)
    if (reply) return { kind: 'ops', reply }
  } catch (error) {
    return { kind: 'ops', reply: failureReply(deps, ask, error) }
  }
  try {
    if (!deps.pages) throw new NixeryError('ROUTE_UNKNOWN', 'not found: this registry has no pages')
    return { kind: 'page', reply: await replyOf(await deps.pages.fetch(request())) }
  } catch (error) {
    return { kind: 'page', reply: failureReply(deps, ask, error) }
  }
}

// Of these no web Request can be made.
const unsupported: ReadonlySet<string> = new Set(['CONNECT', 'TRACE', 'TRACK'])

/** A request as pages get it. Its address has no host: that is a stranger's. */
function webRequest({ method, path, query }: Ask, { rawHeaders }: IncomingMessage): Request {
  if (unsupported.has(method)) throw new NixeryError('UNSUPPORTED', 'this server can only be read')
  const headers = new Headers()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    headers.append(rawHeaders[index] ?? '', rawHeaders[index + 1] ?? '')
  }
  return new Request(`http://localhost${path}${query === '' ? '' : `?${query}`}`, { method, headers })
}

async function replyOf(response: Response): Promise<Reply> {
  const body = new Uint8Array(await response.arrayBuffer())
  const headers = { 'content-length': String(body.length), ...Object.fromEntries(response.headers) }
  return { status: response.status, headers, body }
}

/** Opens a body that is to be sent. If it cannot be opened, that is the answer. */
async function openBody(
  deps: AppDeps,
  ask: Ask,
  reply: Reply,
): Promise<{ reply: Reply; opened: Opened | undefined }> {
  if (ask.method === 'HEAD' || !isStream(reply.body)) return { reply, opened: undefined }
  const client = deps.clientOf?.(ask.peer?.(), ask.header('x-forwarded-for'))
  const { body } = deps.streams?.bound(reply, client) ?? reply
  if (!isStream(body)) return { reply, opened: undefined }
  try {
    return { reply, opened: await body.open() }
  } catch (error) {
    return { reply: failureReply(deps, ask, error), opened: undefined }
  }
}
