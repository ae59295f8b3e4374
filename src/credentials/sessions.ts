import { randomBytes, randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { z } from 'zod'
import type { Identity } from '../access/identity.ts'
import { NixeryError } from '../errors.ts'
import { boundTo, holderForm, holderOf, identityOfHolder } from './holder.ts'
import type { Signer } from './signed.ts'

/** Who is logged in to the pages. */
export type Session = {
  readonly identity: Identity
  /** What a form that changes something must have. */
  readonly csrf: string
}

/** Logins to the pages. The cookie has all of a session, signed: servers that share the key share sessions. */
export type Sessions = {
  /** @param seconds for which it is valid, at most those of all sessions. @returns the value of the cookie. @throws REQUEST_INVALID if what is known of the user is too large for one */
  begin(identity: Identity, seconds: number): Promise<string>
  /** Undefined for a cookie that is not valid, or whose user is not any more or has another password. */
  find(cookie: string): Promise<Session | undefined>
  /** Makes a cookie useless on this server. */
  end(cookie: string): Promise<void>
  /** What is to be known when a login that leads over another site comes back. */
  seal(state: Readonly<Record<string, string>>): Promise<string>
  open(sealed: string): Promise<Readonly<Record<string, string>> | undefined>
}

export type SessionsOptions = {
  readonly signer: Signer
  /** Whether the holder is still who the session says, such as after a key was revoked. */
  readonly isCurrent: (identity: Identity) => boolean | Promise<boolean>
  /** What the session of a user with a password is bound to, such as a hash of it. */
  readonly secretOf: (name: string) => string | undefined
  /** Seconds for which a session is valid, and for which a login may take. */
  readonly sessionLifetime: number
  readonly loginLifetime: number
}

// Browsers keep 4096 bytes of a cookie with its name.
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
      return (await isCurrent(identity)) ? { identity, csrf: found.csrf } : undefined
    },
    async end(cookie) {
      const found = await read(cookie)
      if (found) ended.set(found.jti, true)
    },
    seal: (state) => signer.sign('login', { state }, loginLifetime).signing,
    open: async (sealed) => login.safeParse(await signer.verify(sealed, 'login')).data?.state,
  }
}
