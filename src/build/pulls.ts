import type { Catalog, Pull } from '../catalog/catalog.ts'
import type { Digest } from '../image/digest.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'

/** Counts which images are pulled, and tells the catalog from time to time. */
export type Pulls = {
  /** @param image the image's key in the catalog */
  note(request: ImageRequest, image: string): void
  /** A manifest or an index was given by digest. */
  noteUse(digest: Digest): void
  /** Tells what was not told yet. */
  flush(): Promise<void>
  close(): Promise<void>
}

/** @param every milliseconds from one telling to the next */
export function createPulls(catalog: Pick<Catalog, 'rememberPulls' | 'rememberUses'>, every: number): Pulls {
  let counts = new Map<string, Pull>()
  let uses = new Map<Digest, number>()
  const flush = async () => {
    const pulls = [...counts.values()]
    const used = uses
    counts = new Map()
    uses = new Map()
    if (pulls.length > 0) await catalog.rememberPulls(pulls)
    if (used.size > 0) await catalog.rememberUses(used)
  }
  // What is not told is lost with the process, and of little worth.
  const timer = setInterval(() => void flush().catch(() => {}), every).unref()

  return {
    note(request, image) {
      const repository = formatImageName(request)
      const { tag, platform } = request
      const key = JSON.stringify([repository, tag, platform.architecture, image])
      const count = (counts.get(key)?.count ?? 0) + 1
      counts.set(key, { repository, tag, architecture: platform.architecture, image, at: now(), count })
    },
    noteUse(digest) {
      uses.set(digest, now())
    },
    flush,
    async close() {
      clearInterval(timer)
      await flush()
    },
  }
}

const now = (): number => Math.floor(Date.now() / 1000)
