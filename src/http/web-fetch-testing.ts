import { randomUUID } from 'node:crypto'
import { anonymous } from '../access/identity.ts'
import type { AppDeps } from './app.ts'
import { isStream, type OpenBody, type Reply } from './reply.ts'
import { splitTarget, type HttpRequest } from './request.ts'
import { openBody, respond } from './respond.ts'
import { notWhole } from './send.ts'

/** Sends a request to a registry without a server, at a path such as `/v2/`. */
export type WebFetch = (path: string, init?: RequestInit) => Promise<Response>

/** The registry with web Requests and Responses, for tests. */
export function createWebFetch(deps: AppDeps): WebFetch {
  return async (path, init) => {
    const web = new Request(new URL(path, 'http://localhost'), init)
    const { pathname, search } = new URL(web.url)
    const request = {
      id: randomUUID(),
      identity: anonymous,
      method: web.method,
      ...splitTarget(`${pathname}${search}`),
      header: (name: string) => web.headers.get(name) ?? undefined,
      peer: () => undefined,
      certificate: () => undefined,
      signal: () => web.signal,
      body: () => web.text(),
    }
    const { kind, reply: first } = await respond(deps, request)
    const { reply, opened } = await openBody(deps, request, first)
    const { id, method } = request
    const entry = { id, kind, method, path: request.path, status: reply.status, ms: 0, bytes: 0 }
    deps.listener({
      ...entry,
      userAgent: request.header('user-agent'),
      ...(reply.error !== undefined && { error: reply.error }),
    })
    return toResponse(reply, request, opened)
  }
}

/** Reading or cancelling its body closes the opened resources. */
function toResponse(
  { status, headers, body }: Reply,
  { method, id }: Pick<HttpRequest, 'method' | 'id'>,
  opened: OpenBody | undefined,
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

/** A request for functions that need no connection. */
export const testRequest = (
  path: string,
  {
    method = 'GET',
    headers = {},
    query = '',
  }: {
    readonly method?: string | undefined
    readonly headers?: Readonly<Record<string, string>>
    readonly query?: string
  } = {},
): HttpRequest => ({
  id: 'test',
  identity: anonymous,
  method,
  path,
  query,
  header: (name) => headers[name],
  peer: () => undefined,
  certificate: () => undefined,
  signal: () => new AbortController().signal,
  body: () => Promise.resolve(''),
})
