import { decodeProtectedHeader } from 'jose'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Authenticator, Outcome } from '../access/credentials.ts'
import type { Identity } from '../access/identity.ts'
import { NixeryError } from '../errors.ts'
import { boundTo, holderForm, holderOf, identityOfHolder } from './holder.ts'
import { longestSigned, types, type Signer } from './signed.ts'

/** A token and its time of issue; times are in seconds since 1970. */
export type IssuedToken = { readonly token: string; readonly issuedAt: number; readonly expiresIn: number }

/** The tokens that this server issues to authenticated clients (distribution spec, "Token"). */
export type OwnTokens = {
  /**
   * Issues a token for a few minutes.
   * @param repositories the repositories that it is limited to, as written by `formatImageName`
   * @throws REQUEST_INVALID if the client's claims are too large for a token
   */
  issue(identity: Identity, repositories: ReadonlySet<string>): Promise<IssuedToken>
  /**
   * Issues a token that replaces a user's password until the password changes; undefined for clients without a
   * password.
   */
  issueRefresh(identity: Identity): Promise<string | undefined>
  /** Returns the holder of a refresh token. */
  redeem(refreshToken: string): Promise<Outcome>
  readonly authenticator: Authenticator
}

export type OwnTokensOptions = {
  /** Servers that share its key accept each other's tokens. */
  readonly signer: Signer
  /** Whether the holder of an issued token is still valid: the key may have been revoked. */
  readonly isCurrent: (identity: Identity) => boolean | Promise<boolean>
  /**
   * The value that a user's refresh token is bound to, such as a hash of the password; undefined for an unknown user.
   */
  readonly secretOf: (name: string) => string | undefined
  readonly userOf: (name: string) => Identity | undefined
  /** Milliseconds since 1970. */
  readonly now?: () => number
}

// Seconds. Clients request a new token when one has expired; docker and skopeo treat less than 60 as 60.
const lifetime = 300
const refreshLifetime = 90 * 24 * 3600
// The number of cached verified tokens, up to 20 kB each.
const mostRemembered = 2_000

const access = z.object({ exp: z.number(), holder: holderForm, repositories: z.array(z.string()) })
const refresh = z.object({ sub: z.string(), bound: z.string() })

export function createOwnTokens({
  signer,
  isCurrent,
  secretOf,
  userOf,
  now = Date.now,
}: OwnTokensOptions): OwnTokens {
  const verified = new LRUCache<string, { readonly identity: Identity; readonly exp: number }>({
    max: mostRemembered,
  })

  const verifyAccess = async (token: string): Promise<Outcome> => {
    const claims = await signer.verify(token, 'access')
    if (typeof claims === 'string') return { refused: `a token of this server: ${claims}` }
    const parsed = access.safeParse(claims)
    if (!parsed.success) return { refused: 'a token of another version of this server' }
    const { exp, repositories } = parsed.data
    const identity: Identity = Object.freeze({
      ...identityOfHolder(parsed.data.holder),
      repositories: new Set(repositories),
    })
    verified.set(token, { identity, exp })
    return current(identity)
  }

  /** Returns the holder, unless the credentials that the token was issued for are no longer valid. */
  const current = (identity: Identity): Outcome | Promise<Outcome> => {
    const outcome = (is: boolean): Outcome =>
      is ? identity : { refused: `a token of ${identity.name}, whose credentials are no longer valid` }
    const is = isCurrent(identity)
    return is instanceof Promise ? is.then(outcome) : outcome(is)
  }

  return {
    async issue(identity, repositories) {
      const claims = { holder: holderOf(identity), repositories: [...repositories] }
      const { issuedAt, signing } = signer.sign('access', claims, lifetime)
      const token = await signing
      if (token.length > longestSigned) {
        throw new NixeryError('REQUEST_INVALID', 'the claims of these credentials are too large for a token')
      }
      return { token, issuedAt, expiresIn: lifetime }
    },
    async issueRefresh({ name, how }) {
      const secret = how === 'password' ? secretOf(name) : undefined
      if (secret === undefined) return undefined
      return signer.sign('refresh', { sub: name, bound: boundTo('refresh token', secret) }, refreshLifetime)
        .signing
    },
    async redeem(token) {
      const claims = await signer.verify(token, 'refresh')
      if (typeof claims === 'string') return { refused: `a refresh token: ${claims}` }
      const parsed = refresh.safeParse(claims)
      const name = parsed.data?.sub ?? ''
      const secret = secretOf(name)
      const user = userOf(name)
      if (!user || secret === undefined || boundTo('refresh token', secret) !== parsed.data?.bound)
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

/**
 * Whether a token claims to be issued by this server, as an access or refresh token; refresh tokens are then rejected.
 */
function isOwn(token: string): boolean {
  try {
    return Object.values<unknown>(types).includes(decodeProtectedHeader(token).typ)
  } catch {
    return false
  }
}
