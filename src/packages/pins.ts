import { LRUCache } from 'lru-cache'
import { hasCode, type NixeryError } from '../errors.ts'

export type PinsOptions<T> = {
  /** Milliseconds for which a pin is believed. */
  readonly ttl: number
  readonly load: (key: string) => Promise<T>
  /** Hears that a source cannot be reached and an old pin serves on. */
  readonly note: (line: string) => void
}

// While a source cannot be reached it is asked again so often (ms).
const retryAfter = 30_000
const kept = 1000
// For how long a name that means nothing is remembered at most (ms), and how many are: strangers choose them.
const missedFor = 60_000
const mostMissed = 10_000

/**
 * Remembers what moving names mean, each for a time, and which mean nothing. Concurrent callers share one request.
 * If a source cannot be reached, the last good pin serves on.
 */
export function createPins<T extends object>({
  ttl,
  load,
  note,
}: PinsOptions<T>): (key: string) => Promise<T> {
  const pins = new LRUCache<string, { until: number; value: T }>({ max: kept })
  const missed = new LRUCache<string, NixeryError>({ max: mostMissed, ttl: Math.min(ttl, missedFor) })
  const loading = new Map<string, Promise<T>>()

  const renew = async (key: string): Promise<T> => {
    try {
      const value = await load(key)
      pins.set(key, { until: performance.now() + ttl, value })
      return value
    } catch (error) {
      if (hasCode(error, 'MANIFEST_UNKNOWN')) {
        pins.delete(key)
        missed.set(key, error)
      }
      const last = pins.get(key)
      if (!last || !hasCode(error, 'SOURCE_UNREACHABLE')) throw error
      note(`${error.message}\nThe last good revision stays in use.`)
      pins.set(key, { until: performance.now() + retryAfter, value: last.value })
      return last.value
    } finally {
      loading.delete(key)
    }
  }

  return (key) => {
    const known = pins.get(key)
    if (known && known.until > performance.now()) return Promise.resolve(known.value)
    const miss = missed.get(key)
    if (miss) return Promise.reject(miss)
    const pending = loading.get(key) ?? renew(key)
    loading.set(key, pending)
    return pending
  }
}
