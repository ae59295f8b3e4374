import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'
import { LRUCache } from 'lru-cache'
import { NixeryError } from '../errors.ts'
import { createLimiter } from '../queue/limiter.ts'
import { createBcrypt } from './bcrypt.ts'

/**
 * Checks a password against its bcrypt hash (`$2a$`, `$2b$` or `$2y$`), in a thread of its own and not on the
 * event loop.
 * @throws OVERLOADED when too many checks wait already
 */
export type VerifyPassword = (hash: string, password: string) => Promise<boolean>

export type PasswordLimits = {
  /** Checks at once; each keeps a core busy for 0.1 s (cost 10) to seconds. */
  readonly atOnce: number
  /** Checks that wait; further ones are refused. */
  readonly mostWaiting: number
  /** Milliseconds for which a password that was right is not checked again. */
  readonly remembered: number
  /** Right passwords that are remembered, 150 bytes each. */
  readonly mostRemembered: number
}

// Half of the cores stay free for pulls, however many wrong passwords come in.
const defaults: PasswordLimits = {
  atOnce: Math.max(1, Math.floor(availableParallelism() / 2)),
  mostWaiting: 64,
  remembered: 300_000,
  mostRemembered: 10_000,
}

// bcrypt itself reads 72 bytes; a JWT that was sent as a password is not worth a check.
const longest = 256

/**
 * Makes a `VerifyPassword`. Right passwords are remembered by an HMAC of hash and password with a random key, so
 * neither can be read from memory later, and a password stops to be right when its hash changes. Wrong ones are
 * checked each time: remembering them would let strangers fill the memory.
 */
export function createVerifyPassword(limits: Partial<PasswordLimits> = {}): VerifyPassword {
  const { atOnce, mostWaiting, remembered, mostRemembered } = { ...defaults, ...limits }
  const limiter = createLimiter(atOnce)
  const compare = createBcrypt(atOnce)
  const right = new LRUCache<string, true>({ max: mostRemembered, ttl: remembered })
  // As an object: making one of bytes takes longer than the HMAC.
  const secret = createSecretKey(randomBytes(32))
  // Equal passwords that come while one is checked share its check: clients open several connections at once.
  const checks = new Map<string, Promise<boolean>>()

  const check = async (key: string, hash: string, password: string): Promise<boolean> => {
    try {
      const isRight = await limiter.run(() => compare({ password, hash }))
      if (isRight) right.set(key, true)
      return isRight
    } finally {
      checks.delete(key)
    }
  }

  return async (hash, password) => {
    if (Buffer.byteLength(password) > longest) return false
    const key = createHmac('sha256', secret).update(`${hash}\0${password}`).digest('base64')
    if (right.get(key) === true) return true
    const running = checks.get(key)
    if (running) return running
    if (limiter.waiting >= mostWaiting) throw overloaded
    const started = check(key, hash, password)
    checks.set(key, started)
    return started
  }
}

// One for all: where it matters, there are a thousand a second, and the trace of each costs as much as refusing it.
const overloaded = new NixeryError('OVERLOADED', 'too many passwords are being checked', {
  hint: 'try again in a few seconds',
})

/** The check that a server shares over all requests. */
export const verifyPassword: VerifyPassword = createVerifyPassword()
