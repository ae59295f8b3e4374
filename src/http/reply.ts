import type { RequestKind } from './route.ts'

/** A body that is being sent. `close` is called exactly once, also if the body was not read to its end. */
export type OpenBody = {
  /** Each chunk is valid until the next is requested: its memory is reused. */
  chunks(): AsyncIterable<Uint8Array>
  close(): Promise<void>
}

/** A body that is opened only when it is sent, so that a failure to open it can still be the response. */
export type StreamBody = { readonly open: () => Promise<OpenBody> }

/** A response as a value. For HEAD it has the body of GET, which is neither opened nor sent. */
export type Reply = {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | StreamBody | undefined
  /** The failure that this reply describes, for the log. */
  readonly error?: unknown
}

/** A reply, and the kind of route that made it. */
export type RoutedReply = { readonly kind: RequestKind; readonly reply: Reply }

/** The headers of every response below `/v2/` (distribution spec, "Legacy Docker support HTTP headers"). */
export const registryHeaders = { 'Docker-Distribution-Api-Version': 'registry/2.0' } as const

/** Content with a digest never changes. */
export const immutable = 'public, max-age=31536000, immutable'

/** A reply with a text body. */
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
