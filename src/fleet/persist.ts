import { setTimeout as delay } from 'node:timers/promises'
import { hasCode } from '../errors.ts'

// Milliseconds between attempts, and for all of them.
const pause = 500
const longest = 600_000

/**
 * Retries work until the database responds, for at most ten minutes, because the result of a long build is worth
 * waiting for.
 * @throws what the last attempt throws
 */
export async function persist<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  const end = performance.now() + longest
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (!hasCode(error, 'STORE_UNAVAILABLE') || signal?.aborted || performance.now() > end) throw error
    }
    await delay(pause, undefined, signal && { signal }).catch(() => {})
  }
}
