import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import type { Outcome } from '../access/credentials.ts'

// The identity of each connection's certificate, because a connection has many requests.
const known = new WeakMap<Socket, { readonly outcome: Outcome | undefined }>()
// The maximum length of a name in UTF-16 units, and the maximum number of groups.
const longest = 256
const mostGroups = 50

/**
 * Returns the identity in a connection's certificate: the common name is the user, the organizations are the groups, as
 * in Kubernetes. Undefined for a connection without a certificate. Node verifies certificates against the authorities
 * of NIXERY_TLS_CLIENT_CA.
 */
export function certified(socket: Socket): Outcome | undefined {
  if (!(socket instanceof TLSSocket)) return undefined
  const found = known.get(socket) ?? { outcome: outcomeOf(socket) }
  known.set(socket, found)
  return found.outcome
}

function outcomeOf(socket: TLSSocket): Outcome | undefined {
  const { subject } = socket.getPeerCertificate()
  if (subject === undefined) return undefined
  if (!socket.authorized) {
    const reason: unknown = socket.authorizationError
    return { refused: `the client certificate is not valid: ${String(reason)}` }
  }
  const [name = '', ...more] = textsOf(subject.CN)
  if (name === '' || more.length > 0 || name.length > longest) {
    return { refused: 'the client certificate has no common name, or several' }
  }
  const groups = textsOf(subject.O).slice(0, mostGroups)
  return { name, groups, claims: {}, how: 'certificate' }
}

/** An attribute of a subject is a text, or several if it is repeated. */
const textsOf = (part: unknown): readonly string[] =>
  (Array.isArray(part) ? part : [part]).filter((one): one is string => typeof one === 'string' && one !== '')
