import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Outcome } from '../access/credentials.ts'
import { anonymous, type Identity } from '../access/identity.ts'
import { NixeryError } from '../errors.ts'
import { certified } from './certificate.ts'

/** A request as routes see it. */
export type HttpRequest = {
  /** For the log, and `X-Request-Id`. */
  readonly id: string
  /** Anonymous until `authorize` has determined the identity. */
  identity: Identity
  readonly method: string
  /** As it stands in the request: percent-encoded, without the query. */
  readonly path: string
  /** What follows the question mark; empty if nothing does. */
  readonly query: string
  /** @param name in lower case */
  header(name: string): string | undefined
  /** The address of the other end of the connection, if any. */
  peer(): string | undefined
  /** Who the client certificate of the connection belongs to, if it has one. */
  certificate(): Outcome | undefined
  /** Aborted when the client disconnects before the response was sent. */
  signal(): AbortSignal
  /**
   * The body as text. Once only.
   * @param limit bytes
   * @throws REQUEST_INVALID if it is larger, or the connection ends before it does
   */
  body(limit: number): Promise<string>
}

/** Reads a request of Node's server. A class, because its methods cost nothing until one is called. */
export class IncomingRequest implements HttpRequest {
  readonly id = randomUUID()
  identity: Identity = anonymous
  readonly method: string
  readonly path: string
  readonly query: string
  readonly #incoming: IncomingMessage
  readonly #outgoing: ServerResponse
  #abort: AbortController | undefined

  constructor(incoming: IncomingMessage, outgoing: ServerResponse) {
    const { method = 'GET', url = '/' } = incoming
    const { path, query } = splitTarget(url)
    this.method = method
    this.path = path
    this.query = query
    this.#incoming = incoming
    this.#outgoing = outgoing
  }

  header(name: string): string | undefined {
    const value = this.#incoming.headers[name]
    return typeof value === 'string' ? value : undefined
  }

  peer(): string | undefined {
    return this.#incoming.socket.remoteAddress
  }

  certificate(): Outcome | undefined {
    return certified(this.#incoming.socket)
  }

  async body(limit: number): Promise<string> {
    const chunks: Buffer[] = []
    let size = 0
    try {
      // What is left of it does not end the connection, over which the response has to go.
      for await (const chunk of this.#incoming.iterator({
        destroyOnReturn: false,
      }) as AsyncIterable<Buffer>) {
        size += chunk.length
        if (size > limit) break
        chunks.push(chunk)
      }
    } catch (cause) {
      throw new NixeryError('REQUEST_INVALID', 'the body of the request ended early', { cause })
    }
    if (size > limit) throw new NixeryError('REQUEST_INVALID', `a body has at most ${limit} bytes`)
    return Buffer.concat(chunks).toString()
  }

  signal(): AbortSignal {
    if (this.#abort) return this.#abort.signal
    const abort = new AbortController()
    this.#abort = abort
    const outgoing = this.#outgoing
    // The client may have disconnected before the signal was created.
    if (outgoing.destroyed && !outgoing.writableFinished) abort.abort()
    // Also closed when everything is sent. Nobody listens then, and aborting costs a tenth of a warm response.
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) abort.abort()
    })
    return abort.signal
  }
}

/**
 * Path and query of a request target. Proxies may be sent a full address (RFC 9112 §3.2.2), whose host is ignored.
 * `*` and what is no address stay as they are.
 */
export function splitTarget(target: string): Pick<HttpRequest, 'path' | 'query'> {
  const local = target.startsWith('/') ? target : withoutOrigin(target)
  const hash = local.indexOf('#')
  const whole = hash === -1 ? local : local.slice(0, hash)
  const mark = whole.indexOf('?')
  return mark === -1
    ? { path: whole, query: '' }
    : { path: whole.slice(0, mark), query: whole.slice(mark + 1) }
}

function withoutOrigin(address: string): string {
  const begin = /^https?:\/\/[^/?#]*/i.exec(address)?.[0].length
  if (begin === undefined) return address
  const target = address.slice(begin)
  return target.startsWith('/') ? target : `/${target}`
}
