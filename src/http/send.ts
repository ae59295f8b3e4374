import type { ServerResponse } from 'node:http'
import { NixeryError } from '../errors.ts'
import { isStream, type OpenBody, type Reply } from './reply.ts'

/** What was sent of a reply. */
export type SendResult = {
  /** Of the body, in bytes. */
  readonly bytes: number
  /** Why the body is not whole. Not that the client left, which is its right. */
  readonly error?: unknown
}

const nothing: SendResult = { bytes: 0 }

// Of answers that are given again and again: names and values in turn, which is the form that Node writes down fastest.
const flat = new WeakMap<Reply['headers'], readonly string[]>()

function flatHeaders(headers: Reply['headers'], id: string): string[] {
  const known = flat.get(headers) ?? Object.entries(headers).flat()
  flat.set(headers, known)
  return [...known, 'X-Request-Id', id]
}

/** Writes an answer whose body is at hand to Node's response. */
export function sendWhole(
  outgoing: ServerResponse,
  { status, headers, body }: Reply,
  { method, id }: { method: string; id: string },
): SendResult {
  outgoing.writeHead(status, flatHeaders(headers, id))
  if (method === 'HEAD' || body === undefined || isStream(body)) {
    outgoing.end()
    return nothing
  }
  outgoing.end(body)
  return { bytes: body.length }
}

/**
 * Writes an answer whose body may be a stream. Whoever reads slowly is waited for.
 * @param opened of the body, if it is one that has to be opened; closed here
 */
export async function send(
  outgoing: ServerResponse,
  reply: Reply,
  request: { method: string; id: string },
  opened: OpenBody | undefined,
): Promise<SendResult> {
  const { status, headers, body } = reply
  if (request.method === 'HEAD' || !isStream(body)) return sendWhole(outgoing, reply, request)
  outgoing.writeHead(status, flatHeaders(headers, request.id))
  return opened ? sendStream(outgoing, opened, Number(headers['Content-Length'])) : nothing
}

async function sendStream(outgoing: ServerResponse, opened: OpenBody, length: number): Promise<SendResult> {
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
    if (!outgoing.destroyed && bytes !== length) throw notWhole(bytes, length)
    outgoing.end()
    return { bytes }
  } catch (error) {
    // The status is sent: that the body is not whole can be told only by cutting it off.
    outgoing.destroy()
    return { bytes, error }
  } finally {
    await opened.close()
  }
}

export const notWhole = (bytes: number, length: number) =>
  new NixeryError('STORE_UNAVAILABLE', `a body of ${length} bytes ended after ${bytes}`)
