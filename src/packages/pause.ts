import { LRUCache } from 'lru-cache'
import { hasCode, type NixeryError } from '../errors.ts'

/** Milliseconds for which a source that could not be reached is not tried again. */
const pause = 5_000
/** Strangers may choose keys. */
const mostKept = 10_000

/** Does work that asks a source for something. @throws what the work throws, or threw a moment ago */
export type Pausing = <T>(key: string, work: () => Promise<T>) => Promise<T>

/**
 * Work that failed because its source cannot be reached fails again for some seconds without being tried. Otherwise,
 * every request would start a process and a connection that fail as well.
 * @param now for tests: a clock in milliseconds
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
