import { createHash } from 'node:crypto'
import { decodeProtectedHeader, errors, jwtVerify, SignJWT } from 'jose'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Authenticator, Outcome } from '../access/credentials.ts'
import type { Identity } from '../access/identity.ts'
import { NixeryError } from '../errors.ts'

/** A token and when it was issued; times are seconds since 1970. */
export type IssuedToken = { readonly token: string; readonly issuedAt: number; readonly expiresIn: number }

/** The tokens that this server issues to clients that have proved who they are (distribution spec, "Token"). */
export type OwnTokens = {
  /**
   * A token for a few minutes.
   * @param repositories the only ones that it is for, as `formatImageName` spells them
   * @throws REQUEST_INVALID if what is known of the client is too large for a token
   */
  issue(identity: Identity, repositories: ReadonlySet<string>): Promise<IssuedToken>
  /** A token that stands for a user's password until that changes; undefined for those who have no password. */
  issueRefresh(identity: Identity): Promise<string | undefined>
  /** Whose refresh token it is. */
  redeem(refreshToken: string): Promise<Outcome>
  readonly authenticator: Authenticator
}

export type OwnTokensOptions = {
  /** At least 32 bytes. Servers that share it accept each other's tokens. */
  readonly key: Uint8Array
  /** Whether the holder of a token that is out is still who the token says, such as after a key was revoked. */
  readonly isCurrent: (identity: Identity) => boolean | Promise<boolean>
  /** What a user's refresh token is bound to, such as a hash of the password; undefined for who is no user. */
  readonly secretOf: (name: string) => string | undefined
  readonly userOf: (name: string) => Identity | undefined
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

// Seconds. Clients ask for a new token when one has expired; docker and skopeo take less than 60 for 60.
const lifetime = 300
const refreshLifetime = 90 * 24 * 3600
// Characters of a token, which clients send in a header: servers and proxies take 8 to 32 kB of those.
const longest = 16 * 1024
// Tokens that were verified, up to 20 kB each.
const mostRemembered = 2_000

const issuer = 'nixery'
const types = { access: 'nixery-access+jwt', refresh: 'nixery-refresh+jwt' } as const

const holder = z.object({
  name: z.string(),
  groups: z.array(z.string()),
  claims: z.record(z.string(), z.unknown()),
  how: z.enum(['anonymous', 'password', 'key', 'oidc', 'certificate']),
  issuer: z.string().optional(),
})
const access = z.object({ exp: z.number(), holder, repositories: z.array(z.string()) })
const refresh = z.object({ sub: z.string(), bound: z.string() })

export function createOwnTokens({
  key,
  isCurrent,
  secretOf,
  userOf,
  now = Date.now,
}: OwnTokensOptions): OwnTokens {
  const verified = new LRUCache<string, { readonly identity: Identity; readonly exp: number }>({
    max: mostRemembered,
  })

  const sign = (type: keyof typeof types, claims: Record<string, unknown>, seconds: number) => {
    const issuedAt = Math.floor(now() / 1000)
    const jwt = new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', typ: types[type] })
      .setIssuer(issuer)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + seconds)
    return { issuedAt, signing: jwt.sign(key) }
  }

  /** The claims of a token; otherwise what is wrong with it. */
  const verify = async (token: string, type: keyof typeof types): Promise<object | string> => {
    if (token.length > longest) return `it has more than ${longest} characters`
    try {
      const { payload } = await jwtVerify(token, key, {
        algorithms: ['HS256'],
        issuer,
        typ: types[type],
        requiredClaims: ['exp'],
        currentDate: new Date(now()),
      })
      return payload
    } catch (error) {
      if (error instanceof errors.JWTExpired) return 'it has expired'
      if (error instanceof errors.JOSEError) return error.message
      throw error
    }
  }

  const verifyAccess = async (token: string): Promise<Outcome> => {
    const claims = await verify(token, 'access')
    if (typeof claims === 'string') return { refused: `a token of this server: ${claims}` }
    const parsed = access.safeParse(claims)
    if (!parsed.success) return { refused: 'a token of another version of this server' }
    const { exp, repositories } = parsed.data
    const { issuer: vouching, ...rest } = parsed.data.holder
    const identity: Identity = Object.freeze({
      ...rest,
      ...(vouching !== undefined && { issuer: vouching }),
      repositories: new Set(repositories),
    })
    verified.set(token, { identity, exp })
    return current(identity)
  }

  /** The holder, unless the credentials that the token was issued for are not valid any more. */
  const current = (identity: Identity): Outcome | Promise<Outcome> => {
    const outcome = (is: boolean): Outcome =>
      is ? identity : { refused: `a token of ${identity.name}, whose credentials are not valid any more` }
    const is = isCurrent(identity)
    return is instanceof Promise ? is.then(outcome) : outcome(is)
  }

  return {
    async issue({ name, groups, claims, how, issuer: vouching }, repositories) {
      const { issuedAt, signing } = sign(
        'access',
        { holder: { name, groups, claims, how, issuer: vouching }, repositories: [...repositories] },
        lifetime,
      )
      const token = await signing
      if (token.length > longest) {
        throw new NixeryError('REQUEST_INVALID', 'the claims of these credentials are too large for a token')
      }
      return { token, issuedAt, expiresIn: lifetime }
    },
    async issueRefresh({ name, how }) {
      const secret = how === 'password' ? secretOf(name) : undefined
      if (secret === undefined) return undefined
      return sign('refresh', { sub: name, bound: boundTo(secret) }, refreshLifetime).signing
    },
    async redeem(token) {
      const claims = await verify(token, 'refresh')
      if (typeof claims === 'string') return { refused: `a refresh token: ${claims}` }
      const parsed = refresh.safeParse(claims)
      const name = parsed.data?.sub ?? ''
      const secret = secretOf(name)
      const user = userOf(name)
      if (!user || secret === undefined || boundTo(secret) !== parsed.data?.bound)
        return { refused: `a refresh token of ${name}, whose password has changed` }
      return user
    },
    authenticator(credentials) {
      if (credentials.kind !== 'bearer') return undefined
      const { token } = credentials
      const known = verified.get(token)
      if (known && now() / 1000 < known.exp) return current(known.identity)
      return isOwn(token) ? verifyAccess(token) : undefined
    },
  }
}

/** Whether a token says that this server issued it, as access or refresh token; the latter is then refused. */
function isOwn(token: string): boolean {
  try {
    return Object.values<unknown>(types).includes(decodeProtectedHeader(token).typ)
  } catch {
    return false
  }
}

// The hash of a hash: tokens are sent over networks, and the password's hash is not.
const boundTo = (secret: string): string =>
  createHash('sha256').update(`nixery refresh token\0${secret}`).digest('base64url')
