import {
  request as plainRequest,
  type ClientRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
} from 'node:http'
import { request as secureRequest } from 'node:https'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createAgents } from './agents.ts'
import { readBody } from './body.ts'

/** Bytes that can be sent more than once: after a redirect, or with a renewed token. */
export type Body = { readonly size: number; open(): AsyncIterable<Uint8Array> }

export type Method = 'GET' | 'HEAD' | 'POST' | 'PUT'

export type OutgoingRequest = {
  readonly method: Method
  readonly url: URL
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Body | undefined
  /** Bytes of the response's body, after decoding, that are accepted; 4 MiB by default. */
  readonly limit?: number
  /** Asks for a compressed response, and decodes it. */
  readonly compressed?: boolean
  /** Milliseconds for everything, the body included. By default only silence is limited. */
  readonly timeout?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export type IncomingResponse = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Undefined if it is larger than the limit. */
  readonly body: Buffer | undefined
}

/**
 * Sends requests and reads responses into memory. Follows no redirects (see `redirect.ts`), adds no credentials, and
 * fails with the error of the system, of Node, or of the body that was to be sent.
 */
export type HttpClient = {
  send(request: OutgoingRequest): Promise<IncomingResponse>
  close(): void
}

export type HttpClientOptions = {
  /** Whether certificates must be valid; true by default. */
  readonly verify?: boolean
  /** Where HTTP_PROXY, HTTPS_PROXY and NO_PROXY are; the process's by default. */
  readonly environment?: NodeJS.ProcessEnv
}

// A registry may hash gigabytes before it answers a PUT, without a sign of life.
const idleTimeout = 300_000
const connectTimeout = 30_000
const defaultLimit = 4 * 1024 * 1024

/**
 * The one HTTP client of the program. Over Node's own client and not `fetch`, which cannot trust one server's certificate
 * without trusting all, knows neither the system's certificates nor proxies, and sends streams without a length.
 */
export function createHttpClient({
  verify = true,
  environment = process.env,
}: HttpClientOptions = {}): HttpClient {
  const agents = createAgents(verify, environment)

  return {
    async send(request) {
      const { method, url, body, limit = defaultLimit, compressed = false, timeout, signal } = request
      const start = url.protocol === 'https:' ? secureRequest : plainRequest
      const outgoing = start(url, {
        method,
        headers: {
          'User-Agent': 'nixery',
          ...(compressed && { 'Accept-Encoding': 'gzip, br' }),
          ...request.headers,
          ...(method !== 'GET' && method !== 'HEAD' && { 'Content-Length': String(body?.size ?? 0) }),
        },
        agent: agents.for(url),
        timeout: idleTimeout,
        ...(signal && { signal }),
      })
      // The first failure is the cause; what follows it is a broken connection.
      let cause: unknown
      const fail = (error: Error) => {
        cause ??= error
        outgoing.destroy(error)
      }
      const stopTimers = limitTime(outgoing, timeout, fail)
      const responded = new Promise<IncomingMessage>((resolve, reject) => {
        // It may fail more than once; the first time counts.
        outgoing.once('response', resolve).on('error', reject)
      })
      async function* content(source: Body) {
        try {
          yield* source.open()
        } catch (error) {
          cause ??= error
          throw error
        }
      }
      const sent = body ? pipeline(Readable.from(content(body)), outgoing) : Promise.resolve(outgoing.end())
      // A response may come before everything was sent, as a refusal does: then a failure to send does not matter.
      sent.catch(() => {})
      try {
        const incoming = await responded
        const bytes = await readBody(incoming, limit, compressed)
        const { statusCode: status = 0, headers } = incoming
        if (status !== 0 && status < 300) await sent
        else if (!outgoing.writableFinished) outgoing.destroy()
        return { status, headers, body: bytes }
      } catch (error) {
        throw cause ?? error
      } finally {
        stopTimers()
      }
    },
    close: () => agents.close(),
  }
}

/** Limits silence, connecting and, if asked to, everything. @returns a function that ends the latter */
function limitTime(outgoing: ClientRequest, timeout: number | undefined, fail: (error: Error) => void) {
  outgoing.once('timeout', () => fail(timedOut(idleTimeout)))
  outgoing.once('socket', (socket) => {
    if (!socket.connecting) return
    const late = setTimeout(() => fail(timedOut(connectTimeout)), connectTimeout)
    socket.once('connect', () => clearTimeout(late)).once('close', () => clearTimeout(late))
  })
  const timer = timeout === undefined ? undefined : setTimeout(() => fail(timedOut(timeout)), timeout)
  return () => clearTimeout(timer)
}

const timedOut = (ms: number) =>
  Object.assign(new Error(`no answer in ${ms / 1000} s`), { code: 'ETIMEDOUT' })
