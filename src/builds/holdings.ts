import { LRUCache } from 'lru-cache'
import type { Catalog } from '../catalog/catalog.ts'
import type { Digest } from '../image/digest.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import type { Image } from './image.ts'

/**
 * Records which manifests and blobs belong to the images of a name: clients that may not pull an image must not get
 * parts of it.
 */
export type Holdings = {
  /** Records that an image was served under this name. */
  note(request: ImageRequest, image: Image): void
  /** Whether a digest belongs to an image that was ever served under this name, by any process. */
  holds(request: ImageRequest, digest: Digest): boolean | Promise<boolean>
}

// The number of cached names, and images of each, for images that are not in the catalog yet. An image of 120 layers
// takes 30 kB, most of which is shared with the recent images.
const mostNames = 1_000
const mostImages = 8
// Cached answers of the catalog, 300 bytes each.
const mostAnswers = 50_000

export function createHoldings(catalog: Pick<Catalog, 'holds'>): Holdings {
  const given = new LRUCache<string, Set<Image>>({ max: mostNames })
  const answers = new LRUCache<string, true>({ max: mostAnswers })

  const ask = async (repository: string, digest: Digest): Promise<boolean> => {
    const held = await catalog.holds(repository, digest)
    if (held) answers.set(`${repository} ${digest}`, true)
    return held
  }

  return {
    note(request, image) {
      const repository = nameOf(request)
      const images = given.get(repository) ?? new Set()
      if (images.has(image)) return
      images.add(image)
      const [oldest] = images
      if (images.size > mostImages && oldest) images.delete(oldest)
      given.set(repository, images)
    },
    holds(request, digest) {
      const repository = nameOf(request)
      for (const image of given.get(repository) ?? []) if (digestsOf(image).has(digest)) return true
      return answers.has(`${repository} ${digest}`) || ask(repository, digest)
    },
  }
}

const names = new WeakMap<ImageRequest, string>()
function nameOf(request: ImageRequest): string {
  const name = names.get(request) ?? formatImageName(request)
  names.set(request, name)
  return name
}

const digests = new WeakMap<Image, ReadonlySet<Digest>>()
function digestsOf(image: Image): ReadonlySet<Digest> {
  const known = digests.get(image)
  if (known) return known
  const parts = [...Object.values(image.manifests), image.config, ...image.layers]
  const found = new Set(parts.map(({ digest }) => digest))
  digests.set(image, found)
  return found
}
