import { LRUCache } from 'lru-cache'
import type { Digest } from '../image/digest.ts'
import { grace } from './gc.ts'

/** Which blobs this process uses: upkeep leaves them alone. */
export type Uses = {
  /** Notes that blobs are used now: given to a client, or found for an image that is being made. */
  note(...digests: readonly Digest[]): void
  /** What was noted within the grace. */
  inUse(): ReadonlySet<Digest>
  /** Manifests that were given by digest since this was last asked for, with the time (seconds since 1970). */
  takeManifests(): Map<Digest, number>
  noteManifest(digest: Digest): void
}

// 100 bytes each. Who pulls more at once has too small a store for it anyway.
const most = 500_000

export function createUses(): Uses {
  const used = new LRUCache<Digest, true>({ max: most, ttl: grace * 1000, ttlResolution: 1000 })
  let manifests = new Map<Digest, number>()
  return {
    note(...digests) {
      for (const digest of digests) used.set(digest, true)
    },
    inUse: () => new Set(used.keys()),
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
}
