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
import { decoded, readBody } from './body.ts'

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
  /** Requests a compressed response, and decodes it. */
  readonly compressed?: boolean
  /** The timeout of the whole exchange in milliseconds, including the body. By default only inactivity is limited. */
  readonly timeout?: number | undefined
  readonly signal?: AbortSignal | undefined
}

export type IncomingResponse = {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** Undefined if it is larger than the limit. */
  readonly body: Buffer | undefined
}

/** A response whose body has not been read yet: read all of it, or call `discard`. */
export type OpenResponse = Pick<IncomingResponse, 'status' | 'headers'> & {
  /**
   * The bytes as they arrive, decoded if the server compressed them (gzip, br, zstd). A slow reader slows down the
   * sender; leaving the loop early closes the connection.
   */
  readonly body: AsyncIterable<Buffer>
  /** Reads the rest of a small body, so that the connection can be reused; closes the connection of a large one. */
  discard(): Promise<void>
}

/**
 * Sends requests. Follows no redirects (see `redirect.ts`), adds no credentials, and fails with the error of the
 * system, of Node, or of the body that was to be sent. Connections are reused for later requests.
 */
export type HttpClient = {
  /** Reads the response into memory. */
  send(request: OutgoingRequest): Promise<IncomingResponse>
  /**
   * Sends a GET request and returns when the response begins. The caller limits the time with the signal until the body
   * has been read; only connecting and inactivity are limited here.
   */
  open(request: Pick<OutgoingRequest, 'url' | 'headers' | 'signal'>): Promise<OpenResponse>
  close(): void
}

export type HttpClientOptions = {
  /** Whether certificates must be valid; true by default. */
  readonly verify?: boolean
  /** The environment with HTTP_PROXY, HTTPS_PROXY and NO_PROXY; by default that of the process. */
  readonly environment?: NodeJS.ProcessEnv
}

// A registry may hash gigabytes before it responds to a PUT, without sending anything.
const idleTimeout = 300_000
const connectTimeout = 30_000
const defaultLimit = 4 * 1024 * 1024
/** The maximum bytes of an unneeded body to read, so that the connection can be reused. */
const largestRest = 64 * 1024

/**
 * The program's HTTP client. It uses Node's own client and not `fetch`, which cannot trust a single server's
 * certificate without trusting all, does not know the system's certificates and proxies, and sends streams without a
 * length.
 */
export function createHttpClient({
  verify = true,
  environment = process.env,
}: HttpClientOptions = {}): HttpClient {
  const agents = createAgents(verify, environment)
  const begin = (
    method: Method,
    { url, headers, signal }: Pick<OutgoingRequest, 'url' | 'headers' | 'signal'>,
  ): ClientRequest =>
    (url.protocol === 'https:' ? secureRequest : plainRequest)(url, {
      method,
      headers: { 'User-Agent': 'nixery', ...headers },
      agent: agents.for(url),
      timeout: idleTimeout,
      ...(signal && { signal }),
    })

  const open = async (
    request: Parameters<HttpClient['open']>[0],
    isRepeated = false,
  ): Promise<OpenResponse> => {
    const outgoing = begin('GET', request)
    const stopTimers = limitTime(outgoing, undefined, (error) => outgoing.destroy(error))
    try {
      const incoming = await new Promise<IncomingMessage>((resolve, reject) => {
        outgoing.once('response', resolve).on('error', reject).end()
      })
      const { statusCode: status = 0, headers } = incoming
      return {
        status,
        headers,
        body: decoded(incoming),
        discard: async () => void (await readBody(incoming, largestRest, false).catch(() => {})),
      }
    } catch (error) {
      // The server closed a kept connection just as it was reused.
      const isStale =
        outgoing.reusedSocket && error instanceof Error && 'code' in error && error.code === 'ECONNRESET'
      if (!isStale || isRepeated) throw error
      return await open(request, true)
    } finally {
      stopTimers()
    }
  }

  return {
    open: (request) => open(request),
    async send(request) {
      const { method, url, body, limit = defaultLimit, compressed = false, timeout, signal } = request
      const outgoing = begin(method, {
        url,
        headers: {
          ...(compressed && { 'Accept-Encoding': 'gzip, br' }),
          ...request.headers,
          ...(method !== 'GET' && method !== 'HEAD' && { 'Content-Length': String(body?.size ?? 0) }),
        },
        signal,
      })
      // The first failure is the cause; what follows it is a broken connection.
      let cause: unknown
      const fail = (error: Error) => {
        cause ??= error
        outgoing.destroy(error)
      }
      const stopTimers = limitTime(outgoing, timeout, fail)
      const responded = new Promise<IncomingMessage>((resolve, reject) => {
        // It may fail more than once; the first failure counts.
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
      // A response may arrive before everything was sent, such as a refusal: then a failure to send does not matter.
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

/**
 * Limits inactivity, connecting and, if requested, the whole exchange.
 * @returns a function that ends the latter limit
 */
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
  Object.assign(new Error(`no response in ${ms / 1000} s`), { code: 'ETIMEDOUT' })
