import { hash as hashOf, randomBytes } from 'node:crypto'
import type { Authenticator } from '../access/credentials.ts'
import { anonymous, type Identity } from '../access/identity.ts'
import type { VerifyPassword } from './passwords.ts'

/** The users of a file made by `htpasswd`. */
export type Users = ReadonlyMap<string, { readonly hash: string; readonly identity: Identity }>

// Each step doubles the time: bcrypt takes 0.1 s for cost 10, and a second or two for 14.
const [leastCost, mostCost] = [4, 14]
const bcryptHash = /^\$2[aby]\$(?<cost>\d\d)\$[./A-Za-z0-9]{53}$/

/** The other hash formats of `htpasswd`, by their prefixes. */
const otherHashes: readonly [beginning: RegExp, name: string][] = [
  [/^\$apr1\$/, 'MD5 (apr1)'],
  [/^\{SHA\}/, 'SHA-1'],
  [/^\$1\$/, 'MD5'],
  [/^\$5\$/, 'SHA-256'],
  [/^\$6\$/, 'SHA-512'],
  [/^\$2[aby]?\$/, 'damaged bcrypt'],
]

/**
 * Reads an htpasswd file: `name:hash` lines, and comments. Only bcrypt hashes are accepted: the other formats can be
 * cracked quickly if the file leaks.
 * @throws an Error that lists every invalid line, without its hash
 */
export function parseHtpasswd(text: string): Users {
  const users = new Map<string, { hash: string; identity: Identity }>()
  const problems: string[] = []
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '' || line.startsWith('#')) continue
    const problem = addUser(users, line)
    if (problem !== undefined) problems.push(`line ${index + 1}: ${problem}`)
  }
  if (problems.length === 0) return users
  throw new Error(problems.join('; '))
}

/** @returns what is wrong with the line */
function addUser(users: Map<string, { hash: string; identity: Identity }>, line: string): string | undefined {
  const colon = line.indexOf(':')
  if (colon < 1) return 'expected a name, a colon and a hash'
  const [name, hash] = [line.slice(0, colon), line.slice(colon + 1).trim()]
  if (name.length > 255 || /\p{Cc}/u.test(name)) return 'this is not a valid user name'
  const cost = bcryptHash.exec(hash)?.groups?.['cost']
  if (cost === undefined) {
    const kind = otherHashes.find(([beginning]) => beginning.test(hash))?.[1] ?? 'crypt or plain'
    return `${name} has a ${kind} password; only bcrypt is accepted (htpasswd -B)`
  }
  if (Number(cost) < leastCost || Number(cost) > mostCost) {
    return `${name} has a bcrypt hash of cost ${Number(cost)}; only costs from ${leastCost} to ${mostCost} are accepted`
  }
  if (users.has(name)) return `${name} appears twice`
  users.set(name, { hash, identity: Object.freeze({ ...anonymous, name, how: 'password' }) })
  return undefined
}

/**
 * Verifies names and passwords. An unknown name takes as long as a wrong password: the password is compared with a hash
 * that nothing matches, with the cost of one of the users.
 * @param users is called each time, because the file may change
 */
export function htpasswdAuthenticator(users: () => Users, verify: VerifyPassword): Authenticator {
  return async (credentials, from) => {
    if (credentials.kind !== 'basic') return undefined
    const { name, password } = credentials
    const all = users()
    const user = all.get(name)
    const isRight = await verify(user?.hash ?? nobodysHash(name, all), password, from)
    return user && isRight ? user.identity : { refused: user ? 'wrong password' : 'unknown user' }
  }
}

// No password for it is known: its 31 characters are not the hash of anything.
const nobodys = randomBytes(40).toString('base64url').replace(/[-_]/g, '.').padEnd(53, '.').slice(0, 53)

/**
 * A hash with the cost of one of the users: always the same for the same name, so that repeated attempts reveal
 * nothing.
 */
function nobodysHash(name: string, users: Users): string {
  const place = Number.parseInt(hashOf('sha256', name).slice(0, 8), 16) % Math.max(users.size, 1)
  const cost = bcryptHash.exec([...users.values()][place]?.hash ?? '')?.groups?.['cost'] ?? '10'
  return `$2b$${cost}$${nobodys}`
}
