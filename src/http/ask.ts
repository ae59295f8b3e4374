import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Ask } from './reply.ts'

/** A request of Node's server. The `Host` is nobody's concern here. */
export function askOfIncoming(incoming: IncomingMessage, outgoing: ServerResponse): Ask {
  const { method = 'GET', url = '/' } = incoming
  let abort: AbortController | undefined
  return {
    id: randomUUID(),
    method,
    ...splitTarget(url.startsWith('/') ? url : targetOf(url)),
    header(name) {
      const value = incoming.headers[name]
      return typeof value === 'string' ? value : undefined
    },
    peer: () => incoming.socket.remoteAddress,
    signal() {
      if (abort) return abort.signal
      abort = new AbortController()
      const { signal } = abort
      const leave = () => abort?.abort()
      // The client may have left before anybody wanted to know.
      if (outgoing.destroyed && !outgoing.writableFinished) leave()
      // Also closed when all is sent. Nobody listens then, and to abort costs a tenth of a warm answer.
      outgoing.once('close', () => {
        if (!outgoing.writableFinished) leave()
      })
      return signal
    },
  }
}

/** A web Request. */
export function askOfRequest(request: Request): Ask {
  return {
    id: randomUUID(),
    method: request.method,
    ...splitTarget(targetOf(request.url)),
    header: (name) => request.headers.get(name) ?? undefined,
    signal: () => request.signal,
  }
}

/** Path and query of a full address, which proxies may be sent (RFC 9112 §3.2.2). `*` and what is no address stay. */
function targetOf(address: string): string {
  const begin = /^https?:\/\/[^/?#]*/i.exec(address)?.[0].length
  if (begin === undefined) return address
  const target = address.slice(begin)
  return target.startsWith('/') ? target : `/${target}`
}

function splitTarget(target: string): Pick<Ask, 'path' | 'query'> {
  const [whole = ''] = target.split('#', 1)
  const mark = whole.indexOf('?')
  return mark === -1
    ? { path: whole, query: '' }
    : { path: whole.slice(0, mark), query: whole.slice(mark + 1) }
}
