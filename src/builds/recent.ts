import { LRUCache } from 'lru-cache'
import type { Blobs } from './blobs.ts'
import type { Made } from './build.ts'
import { isWhole } from './image.ts'
import { createFlights } from './single-flight.ts'

/** Images of late, by what was asked for: to answer without asking anything. */
export type Recent = {
  /** The image if all its blobs are there: looked at every few seconds, and whenever one turns out to be lost. */
  find(key: string): Promise<Made | undefined>
  /** The same without a look: undefined when it is time for one. */
  current(key: string): Made | undefined
  remember(key: string, made: Made): void
}

// Bytes of memory that remembered images may take, roughly: an image of 120 layers is 30 kB.
const mostBytes = 64e6
// Another process may remove blobs; for so long (ms) this one does not know.
const believed = 10_000
// After so long (ms) an image is looked up in the catalog again, which notes so that what it knows of it is in use.
const day = 86_400_000

/** Objects take about twice the memory of their JSON (UTF-16 units), and an entry of the cache has its own. */
const sizeCalculation = ({ made }: Entry, key: string): number =>
  500 + 2 * (key.length + JSON.stringify(made).length)

type Entry = { readonly made: Made; until: number; losses: number }

/** @param most bytes of memory, roughly */
export function createRecent(blobs: Blobs, most = mostBytes): Recent {
  const entries = new LRUCache<string, Entry>({
    maxSize: most,
    sizeCalculation,
    ttl: day,
    ttlResolution: 1000,
  })
  const checks = createFlights<boolean>()

  const isSure = (entry: Entry): boolean => entry.until > performance.now() && entry.losses === blobs.losses

  return {
    current(key) {
      const entry = entries.get(key)
      return entry && isSure(entry) ? entry.made : undefined
    },

    async find(key) {
      const entry = entries.get(key)
      if (!entry) return undefined
      if (isSure(entry)) return entry.made
      const now = performance.now()
      const { losses } = blobs
      if (await checks.run(key, () => isWhole(blobs, entry.made.image))) {
        entry.until = now + believed
        entry.losses = losses
        return entry.made
      }
      if (entries.get(key) === entry) entries.delete(key)
      return undefined
    },

    remember(key, made) {
      entries.set(key, { made, until: performance.now() + believed, losses: blobs.losses })
    },
  }
}
