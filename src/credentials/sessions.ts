import { randomBytes, randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Identity } from '../access/identity.ts'
import { NixeryError } from '../errors.ts'
import { boundTo, holderForm, holderOf, identityOfHolder } from './holder.ts'
import type { Logouts } from '../catalog/logouts.ts'
import type { Signer } from './signed.ts'

/** Who is logged in to the pages. */
export type Session = {
  readonly identity: Identity
  /** The CSRF token that forms which change something must contain. */
  readonly csrf: string
}

/**
 * Logins to the pages. A session is stored completely in its signed cookie, so servers with the same key share
 * sessions.
 */
export type Sessions = {
  /**
   * @param seconds for which it is valid, at most the maximum of all sessions.
   * @returns the value of the cookie.
   * @throws REQUEST_INVALID if the user's claims are too large for a cookie
   */
  begin(identity: Identity, seconds: number): Promise<string>
  /** Undefined if the cookie is not valid, or its user was removed or has a new password. */
  find(cookie: string): Promise<Session | undefined>
  /** Revokes a cookie on all servers that share a catalog. */
  end(cookie: string): Promise<void>
  /** The state needed when a login via another site returns. */
  seal(state: Readonly<Record<string, string>>): Promise<string>
  open(sealed: string): Promise<Readonly<Record<string, string>> | undefined>
}

export type SessionsOptions = {
  readonly signer: Signer
  readonly logouts: Logouts
  /** Whether the session's holder is still valid; a key may have been revoked, for example. */
  readonly isCurrent: (identity: Identity) => boolean | Promise<boolean>
  /** The value that the session of a user with a password is bound to, such as a hash of the password. */
  readonly secretOf: (name: string) => string | undefined
  /** Seconds for which a session is valid, and within which a login must be completed. */
  readonly sessionLifetime: number
  readonly loginLifetime: number
}

// Browsers store at most 4096 bytes of a cookie, including its name.
const longest = 3_800
const mostEnded = 10_000

const session = z.object({
  jti: z.string(),
  csrf: z.string(),
  holder: holderForm,
  bound: z.string().optional(),
})
const login = z.object({ state: z.record(z.string(), z.string()) })

export function createSessions({
  signer,
  logouts,
  isCurrent,
  secretOf,
  sessionLifetime,
  loginLifetime,
}: SessionsOptions): Sessions {
  const ended = new LRUCache<string, true>({ max: mostEnded, ttl: sessionLifetime * 1000 })

  const boundOf = ({ how, name }: Identity): string | undefined =>
    how === 'password' ? boundTo('session', secretOf(name) ?? '') : undefined

  const read = async (cookie: string) => session.safeParse(await signer.verify(cookie, 'session')).data

  return {
    async begin(identity, seconds) {
      const claims = {
        jti: randomUUID(),
        csrf: randomBytes(24).toString('base64url'),
        holder: holderOf(identity),
        bound: boundOf(identity),
      }
      const cookie = await signer.sign('session', claims, Math.min(seconds, sessionLifetime)).signing
      if (cookie.length <= longest) return cookie
      throw new NixeryError('REQUEST_INVALID', 'the claims of these credentials are too large for a cookie')
    },
    async find(cookie) {
      const found = await read(cookie)
      if (!found || ended.has(found.jti)) return undefined
      const identity = Object.freeze(identityOfHolder(found.holder))
      if (found.bound !== boundOf(identity)) return undefined
      if (await logouts.has(found.jti)) return undefined
      return (await isCurrent(identity)) ? { identity, csrf: found.csrf } : undefined
    },
    async end(cookie) {
      const found = await read(cookie)
      if (!found) return
      // Refused here, even if the catalog fails.
      ended.set(found.jti, true)
      await logouts.add(found.jti, Date.now() / 1000 + sessionLifetime)
    },
    seal: (state) => signer.sign('login', { state }, loginLifetime).signing,
    open: async (sealed) => login.safeParse(await signer.verify(sealed, 'login')).data?.state,
  }
}
