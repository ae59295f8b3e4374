import { setTimeout as delay } from 'node:timers/promises'
import { hasCode } from '../errors.ts'

// Milliseconds: from one attempt to the next, and of all of them.
const pause = 500
const longest = 600_000

/**
 * Repeats work until the database responds, for ten minutes at most: what a build has taken minutes for is worth waiting.
 * @throws what the last attempt does
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
