import { LRUCache } from 'lru-cache'
import type { Catalog, ImageKey, Pull } from '../catalog/catalog.ts'
import type { BuiltImage } from './build.ts'
import type { Digest } from '../image/digest.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import { createAllowance, type Allowance } from '../queue/allowance.ts'

/** Counts pulls, and writes the counts to the catalog periodically. */
export type Pulls = {
  note(request: ImageRequest, image: BuiltImage): void
  /** Writes the counts. */
  flush(): Promise<void>
  close(): Promise<void>
}

// The pull of an image that was not pulled for this long (ms) is written at once: another process may be about to remove it.
const fresh = 600_000

/**
 * For package sets that ignore tags: clients can make up any number, each of which would be a row. Clients that may not
 * build get an image by the tags that were recorded.
 */
export const ignoredTags = (): Allowance => createAllowance(10_000, 1_000)

/**
 * @param uses the manifests that were pulled by digest, which are written too
 * @param every the interval in milliseconds
 * @param newTags how many tags besides `latest` may be recorded; pulls with further ones count for `latest`
 */
export function createPulls(
  catalog: Pick<Catalog, 'rememberPulls' | 'rememberUses'>,
  uses: { takeManifests(): ReadonlyMap<Digest, number> },
  every: number,
  newTags?: Allowance,
): Pulls {
  let counts = new Map<string, Pull>()
  const flush = async () => {
    const pulls = [...counts.values()]
    const used = uses.takeManifests()
    counts = new Map()
    if (pulls.length > 0) await catalog.rememberPulls(pulls)
    if (used.size > 0) await catalog.rememberUses(used)
  }
  // Counts that cannot be written are lost, which matters little.
  const flushQuietly = () => void flush().catch(() => {})
  const timer = setInterval(flushQuietly, every).unref()
  const written = new LRUCache<ImageKey, true>({ max: 10_000, ttl: fresh, ttlResolution: 1000 })
  const tags = new LRUCache<string, true>({ max: 10_000 })
  /** The tag under which a pull is recorded. */
  const tagOf = ({ tag }: ImageRequest, repository: string): string => {
    if (newTags === undefined || tag === 'latest') return tag
    const key = `${repository}:${tag}`
    if (tags.get(key) !== true && !newTags.take()) return 'latest'
    tags.set(key, true)
    return tag
  }
  // Repeated requests are the same object, so their names are formatted once.
  const names = new WeakMap<ImageRequest, { image: ImageKey; repository: string; tag: string; key: string }>()
  const nameOf = (request: ImageRequest, image: ImageKey) => {
    const last = names.get(request)
    if (last?.image === image) return last
    const repository = formatImageName(request)
    const tag = tagOf(request, repository)
    const key = JSON.stringify([repository, tag, request.platform.architecture, image])
    const name = { image, repository, tag, key }
    names.set(request, name)
    return name
  }

  return {
    note(request, { key: image, image: record }) {
      const { platform } = request
      const { repository, tag, key } = nameOf(request, image)
      const last = counts.get(key)
      const count = (last?.count ?? 0) + 1
      const isWritten = written.has(image)
      counts.set(key, {
        repository,
        tag,
        architecture: platform.architecture,
        image,
        at: Math.floor(Date.now() / 1000),
        count,
        // Another process may have removed the image from the catalog since it was recorded.
        ...(isWritten ? last?.record && { record: last.record } : { record }),
      })
      if (isWritten) return
      written.set(image, true)
      setImmediate(flushQuietly)
    },
    flush,
    async close() {
      clearInterval(timer)
      await flush()
    },
  }
}
