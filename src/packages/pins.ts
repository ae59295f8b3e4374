import { LRUCache } from 'lru-cache'
import { hasCode, type NixeryError } from '../errors.ts'
import { createPausing } from './pause.ts'

export type PinsOptions<T> = {
  /** Milliseconds for which a pin is valid. */
  readonly ttl: number
  readonly load: (key: string) => Promise<T>
  /** Whether a loaded value is still usable; if not, it is loaded again. By default, it is. */
  readonly holds?: (value: T) => boolean
  /** Called when a source is unreachable and an old pin stays in use. */
  readonly note: (line: string) => void
  /** For tests: a clock in milliseconds. */
  readonly now?: () => number
}

// Milliseconds between attempts while a source is unreachable.
const retryAfter = 30_000
const kept = 1000
// How long unknown names are remembered at most (ms), and how many: clients choose them.
const missedFor = 60_000
const mostMissed = 10_000

/**
 * Caches the meaning of moving names, and which names are unknown. Concurrent callers share one request. If a source is
 * unreachable, the last good pin stays in use; without one, the source is tried again after a pause.
 */
export function createPins<T extends object>({
  ttl,
  load,
  holds = () => true,
  note,
  now = () => performance.now(),
}: PinsOptions<T>): (key: string) => Promise<T> {
  const pins = new LRUCache<string, { until: number; value: T }>({ max: kept })
  const missed = new LRUCache<string, { until: number; error: NixeryError }>({ max: mostMissed })
  const pausing = createPausing(now)
  const loading = new Map<string, Promise<T>>()

  const renew = async (key: string): Promise<T> => {
    try {
      const value = await pausing(key, () => load(key))
      pins.set(key, { until: now() + ttl, value })
      return value
    } catch (error) {
      if (hasCode(error, 'MANIFEST_UNKNOWN')) {
        pins.delete(key)
        missed.set(key, { until: now() + Math.min(ttl, missedFor), error })
      }
      const last = pins.get(key)
      if (!last || !hasCode(error, 'SOURCE_UNREACHABLE')) throw error
      note(`${error.message}\nThe last good revision stays in use.`)
      pins.set(key, { until: now() + retryAfter, value: last.value })
      return last.value
    } finally {
      loading.delete(key)
    }
  }

  return (key) => {
    const known = pins.get(key)
    if (known && !holds(known.value)) pins.delete(key)
    else if (known && known.until > now()) return Promise.resolve(known.value)
    const miss = missed.get(key)
    if (miss && miss.until > now()) return Promise.reject(miss.error)
    const pending = loading.get(key) ?? renew(key)
    loading.set(key, pending)
    return pending
  }
}
