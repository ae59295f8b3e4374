import { LRUCache } from 'lru-cache'
import { hasCode } from '../errors.ts'

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

/**
 * Remembers what moving names mean, each for a time. Who asks meanwhile waits for the same answer. If a source
 * cannot be reached, the last good pin serves on.
 */
export function createPins<T extends object>({
  ttl,
  load,
  note,
}: PinsOptions<T>): (key: string) => Promise<T> {
  const pins = new LRUCache<string, { until: number; value: T }>({ max: kept })
  const loading = new Map<string, Promise<T>>()

  const renew = async (key: string): Promise<T> => {
    try {
      const value = await load(key)
      pins.set(key, { until: performance.now() + ttl, value })
      return value
    } catch (error) {
      const last = pins.get(key)
      if (!last || !hasCode(error, 'SOURCE_UNREACHABLE')) throw error
      note(`${error.message}\nThe last good revision serves on.`)
      pins.set(key, { until: performance.now() + retryAfter, value: last.value })
      return last.value
    } finally {
      loading.delete(key)
    }
  }

  return (key) => {
    const known = pins.get(key)
    if (known && known.until > performance.now()) return Promise.resolve(known.value)
    const pending = loading.get(key) ?? renew(key)
    loading.set(key, pending)
    return pending
  }
}
