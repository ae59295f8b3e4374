import { setTimeout as delay } from 'node:timers/promises'
import { hasCode } from '../errors.ts'

// Milliseconds to wait for the store when an older result is known.
const patience = 2_000

/**
 * Returns the result of the work, or undefined if the store does not respond soon: for callers with an older result. The
 * work continues.
 * @throws the errors of the work, except STORE_UNAVAILABLE
 */
export async function unlessAway<T>(work: Promise<T>): Promise<{ readonly value: T } | undefined> {
  const result = work.then(
    (value) => ({ value }),
    (error: unknown) => {
      if (hasCode(error, 'STORE_UNAVAILABLE')) return undefined
      throw error
    },
  )
  result.catch(() => {}) // it may fail after all callers have given up
  const over = new AbortController()
  const late = delay(patience, undefined, { signal: over.signal }).catch(() => undefined)
  return Promise.race([result, late]).finally(() => over.abort())
}
