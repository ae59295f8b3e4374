import { LRUCache } from 'lru-cache'
import type { Digest } from '../image/digest.ts'

/** The grace period in seconds: blobs stored or used within it are kept. It is longer than any build. */
export const grace = 2 * 3_600

/** The blobs that this process uses; garbage collection keeps them. */
export type Uses = {
  /** Whether a blob has been used within the grace period, or is being looked up. */
  isUsed(digest: Digest): boolean
  /**
   * Runs a function that looks up or stores a blob. If the result is not undefined, the blob is in use from then on. The
   * blob is not removed while the function runs, and the function waits while the blob is being removed.
   */
  readonly take: <T>(digest: Digest, lookup: () => Promise<T | undefined>) => Promise<T | undefined>
  /** Runs a function that removes a blob, unless the blob is in use. Returns whether it ran. */
  remove(digest: Digest, work: () => Promise<void>): Promise<boolean>
  /** Returns the manifests that were pulled by digest since the last call, with times in seconds since 1970. */
  takeManifests(): Map<Digest, number>
  readonly noteManifest: (digest: Digest) => void
}

// 100 bytes each.
const maxUses = 500_000

export function createUses(): Uses {
  const used = new LRUCache<Digest, true>({
    maxSize: maxUses, // not `max`, which takes the memory of all uses at once
    sizeCalculation: () => 1,
    ttl: grace * 1000,
    ttlResolution: 1000,
  })
  const lookups = new Map<Digest, number>()
  const removals = new Map<Digest, Promise<void>>()
  let manifests = new Map<Digest, number>()

  const uses: Uses = {
    isUsed: (digest) => used.has(digest) || lookups.has(digest),

    async take(digest, lookup) {
      for (let removal = removals.get(digest); removal; removal = removals.get(digest)) await removal
      lookups.set(digest, (lookups.get(digest) ?? 0) + 1)
      try {
        const result = await lookup()
        if (result !== undefined) used.set(digest, true)
        return result
      } finally {
        const others = (lookups.get(digest) ?? 1) - 1
        if (others > 0) lookups.set(digest, others)
        else lookups.delete(digest)
      }
    },

    async remove(digest, work) {
      if (uses.isUsed(digest) || removals.has(digest)) return false
      const running = work()
      const settled = running.catch(() => {}) // reported to the caller of `remove`
      removals.set(digest, settled)
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
