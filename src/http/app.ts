import type { IncomingMessage, ServerResponse } from 'node:http'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { NixeryError } from '../errors.ts'
import type { AccessLogEntry } from './access-log.ts'
import { errorReply } from './errors.ts'
import { failureReply } from './registry.ts'
import { isStream, type Reply, type RoutedReply } from './reply.ts'
import { IncomingRequest, type HttpRequest } from './request.ts'
import { openBody, respond, type RespondDeps } from './respond.ts'
import { send, sendWhole } from './send.ts'
import { checkRequest } from './validity.ts'

export type AppDeps = RespondDeps & {
  /** Called with each request before it is handled. */
  readonly onRequest?: ((request: HttpRequest) => void) | undefined
  /** Called once for each request after its response was sent. */
  readonly listener: (entry: AccessLogEntry) => void
}

/** The registry as a value, independent of a server. */
export type App = {
  /** Handles a request of Node's server. Does not fail. */
  handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> | void
  /**
   * The reply to what could not be parsed as a request. Logged like every other.
   * @param status instead of the failure's usual one
   */
  refuse(request: Pick<HttpRequest, 'method' | 'path'>, failure: NixeryError, status?: number): Reply
}

/**
 * Assembles the registry. Requests and replies are plain values and not web Requests and Responses, which would cost
 * more than a cached reply itself.
 */
export function createApp(deps: AppDeps): App {
  const log = (
    request: HttpRequest,
    kind: AccessLogEntry['kind'],
    started: number,
    status: number,
    bytes: number,
    error: unknown,
  ): void => {
    const { id, method, path } = request
    const entry = {
      id,
      kind,
      method,
      path,
      status,
      ms: performance.now() - started,
      bytes,
      userAgent: request.header('user-agent'),
    }
    deps.listener(error === undefined ? entry : { ...entry, error })
  }

  /** Sends a reply; synchronously if its body is in memory. */
  const finish = (
    request: HttpRequest,
    outgoing: ServerResponse,
    started: number,
    routed: RoutedReply,
  ): Promise<void> | undefined => {
    const { kind, reply } = routed
    if (isStream(reply.body)) return finishStream(request, outgoing, started, routed)
    try {
      const { bytes } = sendWhole(outgoing, reply, request)
      if (kind === 'blob') void deps.quotas?.addBytes(request, bytes)
      log(request, kind, started, reply.status, bytes, reply.error)
    } catch (error) {
      outgoing.destroy() // a bug, possibly after a partial response
      log(request, kind, started, 500, 0, error)
    }
    return undefined
  }

  const finishStream = async (
    request: HttpRequest,
    outgoing: ServerResponse,
    started: number,
    { kind, reply: first }: RoutedReply,
  ) => {
    // Pipelined requests are answered in order: a reply opens no stream before its turn.
    if (!outgoing.socket) await turnOf(outgoing)
    const { reply, opened } = await openBody(deps, request, first)
    try {
      const { bytes, error } = await send(outgoing, reply, request, opened)
      if (kind === 'blob') void deps.quotas?.addBytes(request, bytes)
      log(request, kind, started, reply.status, bytes, error ?? reply.error)
    } catch (error) {
      outgoing.destroy() // a bug, possibly after a partial response
      log(request, kind, started, 500, 0, error)
    }
  }

  return {
    handle(incoming, outgoing) {
      const request = new IncomingRequest(incoming, outgoing)
      const started = performance.now()
      deps.onRequest?.(request)
      const routed = invalidReply(deps, request, incoming) ?? respond(deps, request)
      return routed instanceof Promise
        ? routed.then((later) => finish(request, outgoing, started, later))
        : finish(request, outgoing, started, routed)
    },
    refuse({ method, path }, failure, status) {
      const id = randomUUID()
      const reply = errorReply(failure, deps.texts, status === undefined ? {} : { status })
      const bytes = Number(reply.headers['Content-Length'])
      const common = { id, kind: 'unreadable', method, path, ms: 0, bytes, userAgent: undefined } as const
      deps.listener({ ...common, status: reply.status, error: failure })
      return { ...reply, headers: { ...reply.headers, 'X-Request-Id': id } }
    },
  }
}

/** Resolves when a response is next on its connection, or its connection is closed. */
async function turnOf(outgoing: ServerResponse): Promise<void> {
  const over = new AbortController()
  const { signal } = over
  await Promise.race([once(outgoing, 'socket', { signal }), once(outgoing, 'close', { signal })])
  over.abort()
}

function invalidReply(
  deps: AppDeps,
  request: HttpRequest,
  incoming: IncomingMessage,
): RoutedReply | undefined {
  try {
    checkRequest(incoming)
    return undefined
  } catch (error) {
    return { kind: 'unreadable', reply: failureReply(deps, request, error) }
  }
}
