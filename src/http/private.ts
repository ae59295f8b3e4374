import type { Reply } from './reply.ts'

type Headers = Reply['headers']

// Replies that are made once are sent many times, and what is sent for one is kept by the object (`send.ts`).
const made = new WeakMap<Reply, Reply>()

/**
 * A reply that depends on who asks: caches that several clients share must not keep it (RFC 9111 §5.2.2.7), and those
 * of one client only for the same credentials.
 */
export function privately(reply: Reply): Reply {
  const known = made.get(reply)
  if (known) return known
  const own = { ...reply, headers: privateHeaders(reply.headers) }
  made.set(reply, own)
  return own
}

function privateHeaders({ 'Cache-Control': caching, Vary: varies, ...others }: Headers): Headers {
  const rest = caching?.replace(/^public, /, '')
  const directives = rest === undefined ? 'private' : rest === 'no-store' ? rest : `private, ${rest}`
  return {
    ...others,
    'Cache-Control': directives,
    Vary: varies === undefined ? 'Authorization' : `${varies}, Authorization`,
  }
}
