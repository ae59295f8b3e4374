import { LRUCache } from 'lru-cache'
import type { Catalog, ImageKey, Pull } from '../catalog/catalog.ts'
import type { Made } from './build.ts'
import type { Digest } from '../image/digest.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'

/** Counts which images are pulled, and tells the catalog from time to time. */
export type Pulls = {
  note(request: ImageRequest, made: Made): void
  /** Tells what was not told yet. */
  flush(): Promise<void>
  close(): Promise<void>
}

// An image that nobody has pulled for this long (ms) may be about to go, in another process: its pull is told at once.
const fresh = 600_000

/**
 * @param uses manifests that were given since this was last asked for, which are told, too
 * @param every milliseconds from one telling to the next
 */
export function createPulls(
  catalog: Pick<Catalog, 'rememberPulls' | 'rememberUses'>,
  uses: { takeManifests(): ReadonlyMap<Digest, number> },
  every: number,
): Pulls {
  let counts = new Map<string, Pull>()
  const flush = async () => {
    const pulls = [...counts.values()]
    const used = uses.takeManifests()
    counts = new Map()
    if (pulls.length > 0) await catalog.rememberPulls(pulls)
    if (used.size > 0) await catalog.rememberUses(used)
  }
  // What is not told is lost with the process, and of little worth.
  const tell = () => void flush().catch(() => {})
  const timer = setInterval(tell, every).unref()
  const told = new LRUCache<ImageKey, true>({ max: 10_000, ttl: fresh, ttlResolution: 1000 })
  // Requests that come again are the same object: they are named once.
  const names = new WeakMap<ImageRequest, { image: ImageKey; repository: string; key: string }>()
  const nameOf = (request: ImageRequest, image: ImageKey) => {
    const last = names.get(request)
    if (last?.image === image) return last
    const repository = formatImageName(request)
    const key = JSON.stringify([repository, request.tag, request.platform.architecture, image])
    const name = { image, repository, key }
    names.set(request, name)
    return name
  }

  return {
    note(request, { key: image, image: record }) {
      const { tag, platform } = request
      const { repository, key } = nameOf(request, image)
      const last = counts.get(key)
      const count = (last?.count ?? 0) + 1
      const isTold = told.has(image)
      counts.set(key, {
        repository,
        tag,
        architecture: platform.architecture,
        image,
        at: Math.floor(Date.now() / 1000),
        count,
        // It may have been forgotten since it was remembered: another process removes images that are old.
        ...(isTold ? last?.record && { record: last.record } : { record }),
      })
      if (isTold) return
      told.set(image, true)
      setImmediate(tell)
    },
    flush,
    async close() {
      clearInterval(timer)
      await flush()
    },
  }
}
