import type { Reply } from './reply.ts'

type Headers = Reply['headers']

// Replies are created once and sent many times; the prepared form is cached by object (`send.ts`).
const made = new WeakMap<Reply, Reply>()

/**
 * Marks a reply that depends on the client: shared caches must not store it (RFC 9111 §5.2.2.7), and private ones only
 * for the same credentials.
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
