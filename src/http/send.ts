import type { ServerResponse } from 'node:http'
import { NixeryError } from '../errors.ts'
import { isStream, type OpenBody, type Reply } from './reply.ts'

/** The result of sending a reply. */
export type SendResult = {
  /** The number of body bytes sent. */
  readonly bytes: number
  /** Why the body is incomplete. A disconnected client is not an error. */
  readonly error?: unknown
}

const nothing: SendResult = { bytes: 0 }

/** A reply in the form that Node writes fastest. */
type Prepared = {
  /** Names and values in turn. */
  readonly headers: readonly string[]
  /** A string has one byte for each character. */
  readonly body: string | Uint8Array | undefined
}

// Replies for known images stay the same objects for a while, so they are prepared once.
const prepared = new WeakMap<Reply, Prepared>()

// Node writes headers and a string in one piece, and up to this size without allocating; a buffer costs a vectored
// write, a tenth more processor time for each request. Headers use part of these 16 KiB.
const largestText = 15 * 1024

function prepare(reply: Reply): Prepared {
  const known = prepared.get(reply)
  if (known) return known
  const { headers, body } = reply
  const bytes = typeof body === 'string' ? Buffer.from(body) : isStream(body) ? undefined : body
  const isSmall = bytes !== undefined && bytes.length <= largestText
  const made = {
    headers: Object.entries(headers).flat(),
    body: isSmall ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1') : bytes,
  }
  prepared.set(reply, made)
  return made
}

/** Sends a reply whose body is in memory. */
export function sendWhole(
  outgoing: ServerResponse,
  reply: Reply,
  { method, id }: { method: string; id: string },
): SendResult {
  const { headers, body } = prepare(reply)
  outgoing.writeHead(reply.status, [...headers, 'X-Request-Id', id])
  if (method === 'HEAD' || body === undefined) {
    outgoing.end()
    return nothing
  }
  outgoing.end(body, 'latin1')
  return { bytes: body.length }
}

/**
 * Sends a reply whose body may be a stream, as fast as the client reads it.
 * @param opened the open body, if it is a stream; closed here
 */
export async function send(
  outgoing: ServerResponse,
  reply: Reply,
  request: { method: string; id: string },
  opened: OpenBody | undefined,
): Promise<SendResult> {
  const { status, headers, body } = reply
  if (request.method === 'HEAD' || !isStream(body)) return sendWhole(outgoing, reply, request)
  outgoing.writeHead(status, { ...headers, 'X-Request-Id': request.id })
  const length = headers['Content-Length']
  return opened ? sendStream(outgoing, opened, length === undefined ? undefined : Number(length)) : nothing
}

/** @param length undefined for a body of unknown length */
async function sendStream(
  outgoing: ServerResponse,
  opened: OpenBody,
  length: number | undefined,
): Promise<SendResult> {
  let bytes = 0
  let wake = () => {}
  outgoing.once('close', () => wake())
  try {
    for await (const chunk of opened.chunks()) {
      if (outgoing.destroyed) break
      await new Promise<void>((resolve) => {
        wake = resolve
        outgoing.write(chunk, () => resolve())
      })
      bytes += chunk.length
    }
    if (!outgoing.destroyed && length !== undefined && bytes !== length) throw notWhole(bytes, length)
    outgoing.end()
    return { bytes }
  } catch (error) {
    // The status has been sent: only closing the connection shows the client that the body is incomplete.
    outgoing.destroy()
    return { bytes, error }
  } finally {
    await opened.close()
  }
}

export const notWhole = (bytes: number, length: number) =>
  new NixeryError('STORE_UNAVAILABLE', `a body of ${length} bytes ended after ${bytes}`)
