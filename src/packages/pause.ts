import { LRUCache } from 'lru-cache'
import { hasCode, type NixeryError } from '../errors.ts'

/** Milliseconds before an unreachable source is tried again. */
const pause = 5_000
/** The maximum number of keys, because clients choose them. */
const mostKept = 10_000

/** Runs work that needs a source. @throws what the work throws, or threw recently */
export type Pausing = <T>(key: string, work: () => Promise<T>) => Promise<T>

/**
 * Remembers for some seconds that a source is unreachable, and fails work with the same key without running it.
 * Otherwise every request would start a process and a connection that would fail as well.
 * @param now a clock in milliseconds, for tests
 */
export function createPausing(now: () => number = () => performance.now()): Pausing {
  const failures = new LRUCache<string, { until: number; error: NixeryError }>({ max: mostKept })
  return async (key, work) => {
    const failure = failures.get(key)
    if (failure && failure.until > now()) throw failure.error
    try {
      return await work()
    } catch (error) {
      if (hasCode(error, 'SOURCE_UNREACHABLE')) failures.set(key, { until: now() + pause, error })
      throw error
    }
  }
}
