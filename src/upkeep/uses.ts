import { LRUCache } from 'lru-cache'
import type { Digest } from '../image/digest.ts'

/** Seconds for which nothing goes that was stored or used. Longer than what runs may take to become an image. */
export const grace = 2 * 3_600

/** Which blobs this process uses: upkeep leaves them alone. */
export type Uses = {
  /** Whether a blob was taken into use within the grace, or somebody is about to. */
  isUsed(digest: Digest): boolean
  /**
   * Runs what looks for a blob or stores it. If it gives anything, the blob is in use from then on; until it has ended,
   * the blob is not removed. While it is being removed, this waits first.
   */
  take<T>(digest: Digest, look: () => Promise<T | undefined>): Promise<T | undefined>
  /** Runs what removes a blob, unless it is in use; says whether it ran. */
  remove(digest: Digest, work: () => Promise<void>): Promise<boolean>
  /** Manifests that were given by digest since this was last asked for, with the time (seconds since 1970). */
  takeManifests(): Map<Digest, number>
  noteManifest(digest: Digest): void
}

// 100 bytes each. Who pulls more at once has too small a store for it anyway.
const most = 500_000

export function createUses(): Uses {
  const used = new LRUCache<Digest, true>({ max: most, ttl: grace * 1000, ttlResolution: 1000 })
  const looking = new Map<Digest, number>()
  const removals = new Map<Digest, Promise<void>>()
  let manifests = new Map<Digest, number>()

  const uses: Uses = {
    isUsed: (digest) => used.has(digest) || looking.has(digest),

    async take(digest, look) {
      for (let removal = removals.get(digest); removal; removal = removals.get(digest)) await removal
      looking.set(digest, (looking.get(digest) ?? 0) + 1)
      try {
        const found = await look()
        if (found !== undefined) used.set(digest, true)
        return found
      } finally {
        const others = (looking.get(digest) ?? 1) - 1
        if (others > 0) looking.set(digest, others)
        else looking.delete(digest)
      }
    },

    async remove(digest, work) {
      if (uses.isUsed(digest) || removals.has(digest)) return false
      const running = work()
      const ended = running.catch(() => {}) // reported by whoever removes it
      removals.set(digest, ended)
      try {
        await running
        return true
      } finally {
        removals.delete(digest)
      }
    },

    noteManifest(digest) {
      used.set(digest, true)
      manifests.set(digest, Math.floor(Date.now() / 1000))
    },
    takeManifests() {
      const taken = manifests
      manifests = new Map()
      return taken
    },
  }
  return uses
}
