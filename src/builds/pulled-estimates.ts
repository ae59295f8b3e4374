import type { Catalog } from '../catalog/catalog.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import type { Estimate, Estimates } from './estimates.ts'
import { parseImage } from './image.ts'
import { cachedPopularImages } from './popular-images.ts'

export type PulledEstimatesDeps = {
  readonly catalog: Pick<Catalog, 'pulledImages' | 'mostPulled'>
  /** Parses an image name. @throws NAME_INVALID */
  readonly parse: (name: string) => ImageRequest
}

// The number of tags of a name to search for `latest`.
const mostTags = 20

/**
 * Estimates images from pulled ones, for a process without the package sets: an image has the layers of the last pulled
 * image with the same name and the tag `latest`. Other images and all packages are unknown.
 */
export function createPulledEstimates(
  { catalog, parse }: PulledEstimatesDeps,
  now: () => number = () => performance.now(),
): Estimates {
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
  return { of, popular: cachedPopularImages({ catalog, parse, estimate: of }, now) }
}
