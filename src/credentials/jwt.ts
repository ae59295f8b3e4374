import { createHash } from 'node:crypto'
import { decodeJwt, errors, jwtVerify, type JWTVerifyGetKey } from 'jose'
import { LRUCache } from 'lru-cache'
import { isRefusal, type Authenticator, type Outcome } from '../access/credentials.ts'
import type { Identity } from '../access/identity.ts'
import { identityOf, type Claims, type Issuer } from './issuer.ts'
import { createKeys, type Keys, type KeysOptions } from './jwks.ts'
import { secretOf } from './secret.ts'

export type JwtOptions = KeysOptions & {
  /** The current issuers: the same objects until the policy changes. */
  readonly issuers: () => readonly Issuer[]
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

// Characters. Tokens with the groups of a company have a few thousand.
const longest = 16 * 1024
// Seconds that the clock of an issuer may be off.
const tolerance = 60
// The number of cached verified tokens, 5 kB each, and for how long (ms) they are not verified again.
const mostRemembered = 5_000
const remembered = 300_000

const form = /^[\w-]+\.[\w-]+\.[\w-]*$/

/**
 * Verifies JWTs of the issuers: as the password of any user name, or as a bearer token (RFC 7519, RFC 8725). Ignores
 * tokens of other issuers, for other authenticators.
 */
export function jwtAuthenticator({ issuers, now = Date.now, ...options }: JwtOptions): Authenticator {
  const keys = new WeakMap<Issuer, Keys>()
  const verified = new LRUCache<
    string,
    { readonly identity: Identity; readonly issuer: Issuer; readonly exp: number }
  >({
    max: mostRemembered,
    ttl: remembered,
  })
  const keysOf = (issuer: Issuer): Keys => {
    const known = keys.get(issuer) ?? createKeys(issuer, options)
    keys.set(issuer, known)
    return known
  }

  const verify = async (token: string, id: string, issuer: Issuer): Promise<Outcome> => {
    const claims = await claimsOf(token, issuer, keysOf(issuer), now())
    if (typeof claims === 'string') return { refused: `a token of ${issuer.name}: ${claims}` }
    const identity = identityOf(issuer, claims)
    if (!identity) return { refused: `a token of ${issuer.name} has no subject` }
    verified.set(id, { identity, issuer, exp: Number(claims['exp']) })
    return identity
  }

  return (credentials) => {
    const token = secretOf(credentials)
    if (!form.test(token)) return undefined
    const candidates = issuers()
    if (candidates.length === 0) return undefined
    const id = createHash('sha256').update(token).digest('base64')
    const known = verified.get(id)
    if (known && candidates.includes(known.issuer) && now() / 1000 < known.exp + tolerance) {
      return known.identity
    }
    const url = issuerIn(token)
    const ofUrl = candidates.filter((issuer) => issuer.url === url)
    if (ofUrl.length === 0) return undefined
    if (token.length > longest) return { refused: `a token of more than ${longest} characters` }
    // One service may be listed several times, with different audiences.
    return ofUrl.reduce<Promise<Outcome>>(
      async (last, issuer) => {
        const outcome = await last
        return isRefusal(outcome) ? verify(token, id, issuer) : outcome
      },
      Promise.resolve({ refused: '' }),
    )
  }
}

/** The issuer that a token claims, not verified yet. */
function issuerIn(token: string): string | undefined {
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}

/** Returns the claims of a valid token, or what is wrong with it. */
async function claimsOf(
  token: string,
  { url, audience, algorithms }: Issuer,
  keys: Keys,
  now: number,
): Promise<Claims | string> {
  const check = async (key: JWTVerifyGetKey) => {
    const { payload } = await jwtVerify(token, key, {
      issuer: url,
      audience: [...audience],
      algorithms: [...algorithms],
      clockTolerance: tolerance,
      currentDate: new Date(now),
      requiredClaims: ['exp', 'sub', 'aud'],
    })
    return payload
  }
  const current = await keys.current()
  try {
    return await check(current)
  } catch (error) {
    if (!(error instanceof errors.JWKSNoMatchingKey)) return reasonOf(error)
    const newer = await keys.newer()
    return newer ? check(newer).catch(reasonOf) : 'its key is not known'
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof errors.JWTExpired) return 'it has expired'
  if (error instanceof errors.JWKSNoMatchingKey) return 'its key is not known'
  if (error instanceof errors.JOSEError) return error.message
  throw error
}
