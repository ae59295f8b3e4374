/** A request as the registry's routes see it, whatever server it came through. */
export type Ask = {
  /** For the log, and `X-Request-Id`. */
  readonly id: string
  readonly method: string
  /** As it stands in the request: percent-encoded, without the query. */
  readonly path: string
  /** What follows the question mark; empty if nothing does. */
  readonly query: string
  /** @param name in lower case */
  header(name: string): string | undefined
  /** The address at the other end of the connection, if there is one. */
  peer?(): string | undefined
  /** Fires when the client leaves before the answer was sent. */
  signal(): AbortSignal
}

/** Bytes that are on their way to a client. `close` is called once, however far they came. */
export type Opened = {
  /** Each chunk is valid until the next is asked for: its memory is used again. */
  chunks(): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

/** A body that is opened only when it is to be sent. Where opening fails, the failure can still be told. */
export type StreamBody = { readonly open: () => Promise<Opened> }

/** An answer as a value. For a HEAD the body is that of the GET: whoever sends the answer leaves it out, unopened. */
export type Reply = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | StreamBody | undefined
  /** The failure that this answer tells of. */
  readonly error?: unknown
}

/** The headers of every answer below `/v2/` (distribution spec, "Legacy Docker support HTTP headers"). */
export const registryHeaders = { 'Docker-Distribution-Api-Version': 'registry/2.0' } as const

/** What is addressed by its digest never changes. */
export const immutable = 'public, max-age=31536000, immutable'

/** A text as an answer. */
export function textReply(
  status: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Reply {
  return {
    status,
    headers: {
      ...registryHeaders,
      'Content-Type': contentType,
      'Content-Length': String(Buffer.byteLength(body)),
      ...headers,
    },
    body,
  }
}

/** Whether a body has to be opened. */
export const isStream = (body: Reply['body']): body is StreamBody =>
  body !== undefined && typeof body === 'object' && 'open' in body
