import type { ServerResponse } from 'node:http'
import { NixeryError } from '../errors.ts'
import { isStream, type Opened, type Reply } from './reply.ts'

/** An answer as it went out. */
export type Sent = {
  /** Of the body, in bytes. */
  readonly bytes: number
  /** Why the body is not whole. Not that the client left, which is its right. */
  readonly error?: unknown
}

const nothing: Sent = { bytes: 0 }

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
): Sent {
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
  opened: Opened | undefined,
): Promise<Sent> {
  const { status, headers, body } = reply
  if (request.method === 'HEAD' || !isStream(body)) return sendWhole(outgoing, reply, request)
  outgoing.writeHead(status, flatHeaders(headers, request.id))
  return opened ? sendStream(outgoing, opened, Number(headers['Content-Length'])) : nothing
}

async function sendStream(outgoing: ServerResponse, opened: Opened, length: number): Promise<Sent> {
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

const notWhole = (bytes: number, length: number) =>
  new NixeryError('STORE_UNAVAILABLE', `a body of ${length} bytes ended after ${bytes}`)

/** The same as a web Response, for those who ask without a server. Its body closes what was opened. */
export function toResponse(
  { status, headers, body }: Reply,
  { method, id }: { method: string; id: string },
  opened: Opened | undefined,
): Response {
  const init = { status, headers: { ...headers, 'X-Request-Id': id } }
  if (method === 'HEAD' || body === undefined) return new Response(null, init)
  if (!isStream(body)) return new Response(typeof body === 'string' ? body : new Uint8Array(body), init)
  if (!opened) return new Response(null, init)
  const chunks = opened.chunks()[Symbol.asyncIterator]()
  const length = Number(headers['Content-Length'])
  let bytes = 0
  const stream = new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next()
        if (done !== true) {
          bytes += value.length
          return controller.enqueue(Uint8Array.from(value))
        }
        if (bytes !== length) throw notWhole(bytes, length)
        await opened.close()
        controller.close()
      } catch (error) {
        await opened.close()
        throw error
      }
    },
    async cancel() {
      await chunks.return?.()
      await opened.close()
    },
  })
  return new Response(stream, init)
}
