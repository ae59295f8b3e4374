import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { LRUCache } from 'lru-cache'
import { NixeryError } from '../errors.ts'
import { urgencies } from '../queue/demand.ts'
import { createLimiter } from '../queue/limiter.ts'
import { createBcrypt } from './bcrypt.ts'

/**
 * Checks a password against its bcrypt hash (`$2a$`, `$2b$` or `$2y$`), in a thread and not on the event loop.
 * @param from the address of the client, if it is known
 * @throws OVERLOADED if too many checks are already waiting, in total or for this address
 */
export type VerifyPassword = (hash: string, password: string, from?: string) => Promise<boolean>

export type PasswordLimits = {
  /** The maximum number of concurrent checks; each keeps a core busy for 0.1 s (cost 10) to seconds. */
  readonly atOnce: number
  /** The maximum number of waiting checks; further ones are rejected. */
  readonly mostWaiting: number
  /** The maximum number of checks for one address, so that no one can keep all others from logging in. */
  readonly mostForAddress: number
  /** Milliseconds for which a right password is not checked again. */
  readonly remembered: number
  /** The number of cached right passwords, 150 bytes each. */
  readonly mostRemembered: number
}

// Half of the cores stay free for pulls, however many wrong passwords arrive.
const defaults: PasswordLimits = {
  atOnce: Math.max(1, Math.floor(availableParallelism() / 2)),
  mostWaiting: 64,
  mostForAddress: 16,
  remembered: 300_000,
  mostRemembered: 10_000,
}

// bcrypt only reads 72 bytes; a JWT sent as a password need not be checked.
const longest = 256

/**
 * Creates a `VerifyPassword`. Right passwords are cached as an HMAC of hash and password with a random key, so neither
 * can be read from memory later, and an entry becomes useless when the hash changes. Wrong passwords are checked each
 * time, because strangers could fill a cache of them.
 */
export function createVerifyPassword(limits: Partial<PasswordLimits> = {}): VerifyPassword {
  const { atOnce, mostWaiting, mostForAddress, remembered, mostRemembered } = { ...defaults, ...limits }
  const limiter = createLimiter(atOnce)
  const compare = createBcrypt(atOnce)
  const right = new LRUCache<string, true>({ max: mostRemembered, ttl: remembered })
  // A KeyObject, because creating one from bytes takes longer than the HMAC.
  const secret = createSecretKey(randomBytes(32))
  // Equal concurrent passwords share one check, because clients open several connections at once.
  const checks = new Map<string, Promise<boolean>>()
  const ofAddress = new Map<string, { pending: number; ended: number }>()

  const check = async (key: string, hash: string, password: string, from: string): Promise<boolean> => {
    const address = ofAddress.get(from) ?? { pending: 0, ended: 0 }
    ofAddress.set(from, address)
    address.pending += 1
    // Whoever keeps sending passwords waits for those who have just begun.
    const urgency = () => (from !== '' && address.ended > 0 ? urgencies.expected : urgencies.waiting)
    try {
      const isRight = await limiter.run(() => compare({ password, hash }), { urgency })
      if (isRight) right.set(key, true)
      return isRight
    } finally {
      checks.delete(key)
      address.pending -= 1
      address.ended += 1
      if (address.pending === 0) ofAddress.delete(from)
    }
  }

  return async (hash, password, from = '') => {
    if (Buffer.byteLength(password) > longest) return false
    const key = createHmac('sha256', secret).update(`${hash}\0${password}`).digest('base64')
    if (right.get(key) === true) return true
    const running = checks.get(key)
    if (running) return running
    if (limiter.waiting >= mostWaiting) throw overloaded
    if (from !== '' && (ofAddress.get(from)?.pending ?? 0) >= mostForAddress) throw overloaded
    const started = check(key, hash, password, from)
    checks.set(key, started)
    return started
  }
}

// One shared error: under attack there are a thousand a second, and a stack trace costs as much as the refusal.
const overloaded = new NixeryError('OVERLOADED', 'too many passwords are being checked', {
  hint: 'try again in a few seconds',
})

/** The server's shared password checker. */
export const verifyPassword: VerifyPassword = createVerifyPassword()
