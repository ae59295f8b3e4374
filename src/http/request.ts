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
  /** As sent in the request: percent-encoded, without the query. */
  readonly path: string
  /** The part after the question mark, or an empty text. */
  readonly query: string
  /** @param name in lower case */
  header(name: string): string | undefined
  /** The address of the other end of the connection, if any. */
  peer(): string | undefined
  /** The identity in the connection's client certificate, if any. */
  certificate(): Outcome | undefined
  /** Aborted when the client disconnects before the response has been sent. */
  signal(): AbortSignal
  /**
   * Reads the body as text; call it only once.
   * @param limit bytes
   * @throws REQUEST_INVALID if it is larger or incomplete
   */
  body(limit: number): Promise<string>
}

/** Wraps a request of Node's server. A class, because unused methods cost nothing. */
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
      // The unread rest must not close the connection, which the response needs.
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
    // Also emitted after a complete response. There are no listeners then, and aborting would cost a tenth of a cached
    // response.
    outgoing.once('close', () => {
      if (!outgoing.writableFinished) abort.abort()
    })
    return abort.signal
  }
}

/**
 * Path and query of a request target. It may be a full URL (RFC 9112 §3.2.2), whose host is ignored. `*` and anything
 * that is not a URL are returned unchanged.
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
