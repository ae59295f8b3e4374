import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { Authenticator, Outcome } from '../access/credentials.ts'
import type { ApiKey, ApiKeys } from '../catalog/catalog.ts'
import { secretOf } from './secret.ts'

// `nxk_`, by which secret scanners find leaked keys, then the id, then 256 random bits.
const form = /^nxk_(?<id>[0-9a-f]{16})_(?<secret>[A-Za-z0-9_-]{43})$/

/** Creates a key: the text for the client, and the values to store. */
export function makeApiKey(): { readonly key: string; readonly id: string; readonly hash: string } {
  const id = randomBytes(8).toString('hex')
  const secret = randomBytes(32).toString('base64url')
  return { key: `nxk_${id}_${secret}`, id, hash: hashOf(secret) }
}

// A plain hash suffices: 256 random bits cannot be guessed.
const hashOf = (secret: string): string => createHash('sha256').update(secret).digest('hex')

/**
 * Verifies API keys: as the password of any user name, or as a bearer token. Each is looked up in the catalog, so a
 * revoked or expired key is refused at once.
 * @param now seconds since 1970
 */
export function apiKeyAuthenticator(
  keys: Pick<ApiKeys, 'find'>,
  now: () => number = () => Date.now() / 1000,
): Authenticator {
  return (credentials) => {
    const { id, secret } = form.exec(secretOf(credentials))?.groups ?? {}
    if (id === undefined || secret === undefined) return undefined
    return verify(keys, id, secret, now())
  }
}

/** Why a key is not valid at a time; undefined if it is valid. Times are seconds since 1970. */
export function reasonAgainst(
  { expiresAt, revokedAt }: ApiKey,
  at: number,
): 'revoked' | 'expired' | undefined {
  if (revokedAt !== undefined) return 'revoked'
  return expiresAt !== undefined && expiresAt <= at ? 'expired' : undefined
}

async function verify(keys: Pick<ApiKeys, 'find'>, id: string, secret: string, at: number): Promise<Outcome> {
  const key = await keys.find(id)
  const expected = Buffer.from(key?.hash ?? hashOf(''), 'hex')
  const given = Buffer.from(hashOf(secret), 'hex')
  const isEqual = expected.length === given.length && timingSafeEqual(expected, given)
  if (!key || !isEqual) return { refused: `the API key ${id} is not known` }
  const reason = reasonAgainst(key, at)
  if (reason !== undefined) return { refused: `the API key ${id} (${key.name}) is ${reason}` }
  return { name: key.name, groups: key.groups, claims: { apiKey: id }, how: 'key' }
}
