import type { Catalog } from '../catalog/catalog.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import type { Estimate, Estimates, PopularImage } from './estimates.ts'
import { parseImage } from './image.ts'

export type PulledEstimatesDeps = {
  readonly catalog: Pick<Catalog, 'pulledImages' | 'mostPulled'>
  /** Parses an image name. @throws NAME_INVALID */
  readonly parse: (name: string) => ImageRequest
}

// Tags of a name that are looked at; popular images, and for how long they are remembered (ms).
const mostTags = 20
const [mostPopular, popularFor] = [12, 60_000]

/**
 * Estimates images from those that were pulled, for a process without the package sets: the layers of the image that `latest`
 * of the same name last was. Nothing is known of other images, and nothing of packages.
 */
export function createPulledEstimates(
  { catalog, parse }: PulledEstimatesDeps,
  now: () => number = () => performance.now(),
): Estimates {
  let popular: { readonly images: Promise<readonly PopularImage[]>; readonly until: number } | undefined

  const of = async (request: ImageRequest): Promise<Estimate> => {
    const name = formatImageName(request)
    const known = await catalog.pulledImages(name, mostTags, parseImage)
    const { architecture } = request.platform
    const last = known.find((each) => each.tag === 'latest' && each.architecture === architecture)
    const layers = last?.image.layers.map((packed, index) => ({
      narSize: 0,
      comment: `layer ${index + 1}`,
      paths: [],
      packed,
    }))
    return { packages: [], unknown: last ? [] : [name], paths: 0, narSize: 0, layers, failure: undefined }
  }
  const findPopular = async (): Promise<readonly PopularImage[]> => {
    const found: PopularImage[] = []
    for (const { repository, tag } of await catalog.mostPulled(mostPopular)) {
      if (tag !== 'latest') continue
      try {
        const request = parse(repository)
        const { layers = [] } = await of(request)
        found.push({ request, layers: new Set(layers.flatMap(({ packed }) => packed?.digest ?? [])) })
      } catch {
        continue // it was pulled once, but is no longer valid
      }
    }
    return found
  }
  return {
    of,
    popular() {
      if (!popular || popular.until < now()) popular = { images: findPopular(), until: now() + popularFor }
      return popular.images
    },
  }
}
