import { hash as hashOf, randomBytes } from 'node:crypto'
import type { Authenticator } from '../access/credentials.ts'
import { anonymous, type Identity } from '../access/identity.ts'
import type { VerifyPassword } from './passwords.ts'

/** The users of a file made by `htpasswd`. */
export type Users = ReadonlyMap<string, { readonly hash: string; readonly identity: Identity }>

// bcrypt takes twice as long with each step: 0.1 s for 10, a second or two for 14.
const [leastCost, mostCost] = [4, 14]
const bcryptHash = /^\$2[aby]\$(?<cost>\d\d)\$[./A-Za-z0-9]{53}$/

/** What else `htpasswd` writes, by how it begins. */
const otherHashes: readonly [beginning: RegExp, name: string][] = [
  [/^\$apr1\$/, 'MD5 (apr1)'],
  [/^\{SHA\}/, 'SHA-1'],
  [/^\$1\$/, 'MD5'],
  [/^\$5\$/, 'SHA-256'],
  [/^\$6\$/, 'SHA-512'],
  [/^\$2[aby]?\$/, 'damaged bcrypt'],
]

/**
 * Reads an htpasswd file: `name:hash` lines, and comments. Only bcrypt hashes are accepted: the others can be guessed
 * quickly once the file is known.
 * @throws an Error that names every line that is not good, without its hash
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
  if (colon < 1) return 'this is not a name, a colon and a hash'
  const [name, hash] = [line.slice(0, colon), line.slice(colon + 1).trim()]
  if (name.length > 255 || /\p{Cc}/u.test(name)) return 'this is not the name of a user'
  const cost = bcryptHash.exec(hash)?.groups?.['cost']
  if (cost === undefined) {
    const kind = otherHashes.find(([beginning]) => beginning.test(hash))?.[1] ?? 'crypt or plain'
    return `${name} has a ${kind} password, and only bcrypt is accepted (htpasswd -B)`
  }
  if (Number(cost) < leastCost || Number(cost) > mostCost) {
    return `${name} has a bcrypt hash of cost ${Number(cost)}, and only ${leastCost} to ${mostCost} is accepted`
  }
  if (users.has(name)) return `${name} is there twice`
  users.set(name, { hash, identity: Object.freeze({ ...anonymous, name, how: 'password' }) })
  return undefined
}

/**
 * Verifies names and passwords. An unknown name takes as long as a wrong password: its password is compared with a hash
 * that nothing matches, of the cost that some user has.
 * @param users is asked each time, because the file may change
 */
export function htpasswdAuthenticator(users: () => Users, verify: VerifyPassword): Authenticator {
  return async (credentials) => {
    if (credentials.kind !== 'basic') return undefined
    const { name, password } = credentials
    const all = users()
    const user = all.get(name)
    const isRight = await verify(user?.hash ?? nobodysHash(name, all), password)
    return user && isRight ? user.identity : { refused: user ? 'wrong password' : 'unknown user' }
  }
}

// Whoever knew it could not find a password for it: its 31 characters are not the hash of anything known.
const nobodys = randomBytes(40).toString('base64url').replace(/[-_]/g, '.').padEnd(53, '.').slice(0, 53)

/** A hash of the cost of one of the users: always the same one for the same name, so that asking again tells nothing. */
function nobodysHash(name: string, users: Users): string {
  const place = Number.parseInt(hashOf('sha256', name).slice(0, 8), 16) % Math.max(users.size, 1)
  const cost = bcryptHash.exec([...users.values()][place]?.hash ?? '')?.groups?.['cost'] ?? '10'
  return `$2b$${cost}$${nobodys}`
}
