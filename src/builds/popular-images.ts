import type { Catalog } from '../catalog/catalog.ts'
import type { Digest } from '../image/digest.ts'
import type { ImageRequest } from '../image/name.ts'

export type PopularImage = { readonly request: ImageRequest; readonly layers: ReadonlySet<Digest> }

type EstimatedLayers = readonly { readonly packed?: { readonly digest: Digest } | undefined }[]

export type PopularImagesDeps = {
  readonly catalog: Pick<Catalog, 'mostPulled'>
  /** Parses an image name. @throws NAME_INVALID */
  readonly parse: (name: string) => ImageRequest
  readonly estimate: (request: ImageRequest) => Promise<{ readonly layers?: EstimatedLayers | undefined }>
}

// The number of popular images, and how long they are cached (ms).
const mostPopular = 12
const popularFor = 60_000

/** Returns a function that finds the images pulled most often, with their layers. Its result is cached; failures are not. */
export function cachedPopularImages(
  { catalog, parse, estimate }: PopularImagesDeps,
  now: () => number = () => performance.now(),
): () => Promise<readonly PopularImage[]> {
  let cached: { readonly images: Promise<readonly PopularImage[]>; readonly until: number } | undefined

  const find = async (): Promise<readonly PopularImage[]> => {
    const found: PopularImage[] = []
    for (const { repository, tag } of await catalog.mostPulled(mostPopular)) {
      if (tag !== 'latest') continue
      try {
        const request = parse(repository)
        const { layers = [] } = await estimate(request)
        found.push({ request, layers: new Set(layers.flatMap(({ packed }) => packed?.digest ?? [])) })
      } catch {
        continue // the name was valid when it was pulled
      }
    }
    return found
  }

  return () => {
    if (cached && cached.until >= now()) return cached.images
    const images = find()
    const current = { images, until: now() + popularFor }
    cached = current
    images.catch(() => {
      if (cached === current) cached = undefined
    })
    return images
  }
}
