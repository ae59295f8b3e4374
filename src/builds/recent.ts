import { LRUCache } from 'lru-cache'
import type { Blobs } from './blobs.ts'
import type { BuiltImage } from './build.ts'
import { isComplete } from './image.ts'
import { createFlights } from './single-flight.ts'
import { unlessAway } from './unless-away.ts'

/** Recent images by request, so that they can be served from memory. */
export type Recent = {
  /**
   * Returns the image if its blobs exist, which is checked every few seconds and whenever a blob is found missing. While the
   * store does not respond, they are assumed to.
   */
  find(key: string): Promise<BuiltImage | undefined>
  /** The same without a check; returns undefined if a check is due. */
  current(key: string): BuiltImage | undefined
  remember(key: string, built: BuiltImage): void
}

// The approximate memory limit in bytes. An image of 120 layers takes 30 kB.
const maxBytes = 64e6
// How long a check is valid (ms), because another process can remove blobs.
const checkInterval = 10_000
// After a day (ms), an image is looked up in the catalog again, which records that its rows are in use.
const day = 86_400_000

/** Objects take about twice the memory of their JSON in UTF-16 units, plus 500 bytes for the cache entry. */
const sizeCalculation = ({ built }: Entry, key: string): number =>
  500 + 2 * (key.length + JSON.stringify(built).length)

type Entry = {
  readonly built: BuiltImage
  /** Until when the last check is valid. */
  until: number
  losses: number
  /** Until when no check is tried, because the store did not respond. */
  assumedUntil: number
}

/** @param limit the memory limit in bytes, approximately */
export function createRecent(blobs: Blobs, limit = maxBytes): Recent {
  const entries = new LRUCache<string, Entry>({
    maxSize: limit,
    sizeCalculation,
    ttl: day,
    ttlResolution: 1000,
  })
  const checks = createFlights<boolean>()

  const isChecked = ({ until, losses, assumedUntil }: Entry): boolean => {
    const now = performance.now()
    return assumedUntil > now || (until > now && losses === blobs.losses)
  }

  return {
    current(key) {
      const entry = entries.get(key)
      return entry && isChecked(entry) ? entry.built : undefined
    },

    async find(key) {
      const entry = entries.get(key)
      if (!entry) return undefined
      if (isChecked(entry)) return entry.built
      const now = performance.now()
      const { losses } = blobs
      const check = checks.run(key, () => isComplete(blobs, entry.built.image))
      const found = await unlessAway(check)
      if (!found) entry.assumedUntil = performance.now() + checkInterval
      if (found?.value) {
        entry.until = now + checkInterval
        entry.losses = losses
      }
      if (!found || found.value) return entry.built
      if (entries.get(key) === entry) entries.delete(key)
      return undefined
    },

    remember(key, built) {
      const until = performance.now() + checkInterval
      entries.set(key, { built, until, losses: blobs.losses, assumedUntil: 0 })
    },
  }
}
