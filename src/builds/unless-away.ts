import { setTimeout as delay } from 'node:timers/promises'
import { hasCode } from '../errors.ts'

// Milliseconds to wait for the store where there is an older answer.
const patience = 2_000

/**
 * What the store says, or undefined if it does not respond soon: for those who know what it said before. The work goes on.
 * @throws what the work does, besides STORE_UNAVAILABLE
 */
export async function unlessAway<T>(work: Promise<T>): Promise<{ readonly value: T } | undefined> {
  const answered = work.then(
    (value) => ({ value }),
    (error: unknown) => {
      if (hasCode(error, 'STORE_UNAVAILABLE')) return undefined
      throw error
    },
  )
  answered.catch(() => {}) // it may fail after all callers have given up
  const over = new AbortController()
  const late = delay(patience, undefined, { signal: over.signal }).catch(() => undefined)
  return Promise.race([answered, late]).finally(() => over.abort())
}
