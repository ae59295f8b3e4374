import { decodeProtectedHeader } from 'jose'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Authenticator, Outcome } from '../access/credentials.ts'
import type { Identity } from '../access/identity.ts'
import { NixeryError } from '../errors.ts'
import { boundTo, holderForm, holderOf, identityOfHolder } from './holder.ts'
import { longestSigned, types, type Signer } from './signed.ts'

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
  /** Servers that share its key accept each other's tokens. */
  readonly signer: Signer
  /** Whether the holder of an issued token is still valid: the key may have been revoked. */
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
// Tokens that were verified, up to 20 kB each.
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

  /** The holder, unless the credentials that the token was issued for are not valid any more. */
  const current = (identity: Identity): Outcome | Promise<Outcome> => {
    const outcome = (is: boolean): Outcome =>
      is ? identity : { refused: `a token of ${identity.name}, whose credentials are not valid any more` }
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

/** Whether a token says that this server issued it, as access or refresh token; the latter is then refused. */
function isOwn(token: string): boolean {
  try {
    return Object.values<unknown>(types).includes(decodeProtectedHeader(token).typ)
  } catch {
    return false
  }
}
