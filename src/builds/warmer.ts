import { LRUCache } from 'lru-cache'
import type { Catalog } from '../catalog/catalog.ts'
import { hasCode } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { formatImageName, parseImageReference, type ImageRequest, type Vocabulary } from '../image/name.ts'
import type { Platform } from '../image/platform.ts'
import type { PackageSets } from '../packages/sets.ts'
import { buildImage, type Builds } from './builds.ts'

export type WarmerDeps = {
  readonly builds: Pick<Builds, 'submit' | 'result' | 'cancel'>
  readonly sets: Pick<PackageSets, 'pin'>
  /** The operator's words in names. */
  readonly vocabulary?: Vocabulary
  readonly catalog: Pick<Catalog, 'mostPulled'>
  /** Images to keep ready. */
  readonly names: readonly ImageRequest[]
  /** How many of the most pulled images to keep ready. */
  readonly top: number
  /** Called with the manifests of each ready image in every round, because they are in use. */
  readonly onUse: (digest: Digest) => void
  /** The platforms of a name without a platform, for a package set. */
  readonly platformsOf: (set: string | undefined) => readonly Platform[]
  /** Seconds between two rounds. */
  readonly every: number
  /** Receives a line for each image that cannot be built. */
  readonly warn: (line: string) => void
}

/**
 * Builds images ahead of demand. Named images are built whenever they are missing, and count as in use. The most pulled
 * images are built once for each revision of the package set, and are removed like all others.
 */
export type Warmer = {
  /** Builds missing images, one after another, with lower priority than all requests. */
  round(): Promise<void>
  start(): void
  stop(): void
}

/** Failures that are not caused by the image; it is tried again in the next round. */
const passing = [
  'CANCELLED',
  'OVERLOADED',
  'NIX_UNAVAILABLE',
  'SOURCE_UNREACHABLE',
  'STORE_FULL',
  'STORE_UNAVAILABLE',
] as const

/** Failures of images that were pulled from another or an older package set. */
const outdated = [
  'NAME_INVALID',
  'MANIFEST_UNKNOWN',
  'PACKAGE_UNKNOWN',
  'PACKAGE_DENIED',
  'PACKAGE_INVALID',
  'RECIPE_UNKNOWN',
] as const

/** The number of remembered images; a forgotten one is only tried once more. */
const remembered = 2000

/** Parses the name of a pulled image; empty if this version does not accept it. */
function readAgain(reference: string, vocabulary: Vocabulary | undefined): ImageRequest[] {
  try {
    return [parseImageReference(reference, vocabulary)]
  } catch {
    return []
  }
}

export function createWarmer(deps: WarmerDeps): Warmer {
  const { builds, sets, catalog, vocabulary, names, top, platformsOf, every, onUse, warn } = deps
  // The revision for which an image could not be built; it is not tried again for this revision.
  const failed = new LRUCache<string, string>({ max: remembered })
  // The revision for which one of the most pulled images was built.
  const made = new LRUCache<string, string>({ max: remembered })
  const ending = new AbortController()
  let timer: NodeJS.Timeout | undefined

  /** @returns whether the package set no longer has the image */
  const makeReady = async (request: ImageRequest, isNamed: boolean): Promise<boolean> => {
    const name = `${formatImageName(request)}:${request.tag} on ${request.platform.architecture}`
    try {
      const { revision } = (await sets.pin(request)).pinned
      if (failed.get(name) === revision) return false
      if (!isNamed && made.get(name) === revision) return false
      // A known image takes no work.
      const options = { requestId: 'warm', background: true, signal: ending.signal }
      const { manifests } = await buildImage(builds, request, options)
      if (isNamed) for (const { digest } of Object.values(manifests)) onUse(digest)
      else made.set(name, revision)
      return false
    } catch (error) {
      if (ending.signal.aborted) return false
      const isOutdated = !isNamed && hasCode(error, ...outdated)
      const reason = error instanceof Error ? error.message : String(error)
      if (!isOutdated) warn(`cannot make ${name} ready: ${reason}`)
      if (hasCode(error, ...passing)) return false
      const current = await sets.pin(request).catch(() => undefined)
      if (current) failed.set(name, current.pinned.revision)
      return isOutdated
    }
  }

  const warmer: Warmer = {
    async round() {
      const pulled = top > 0 ? await catalog.mostPulled(top) : []
      const popular = pulled.flatMap(({ repository, tag }) => readAgain(`${repository}:${tag}`, vocabulary))
      let outdatedCount = 0
      for (const [requests, isNamed] of [
        [names, true],
        [popular, false],
      ] as const) {
        for (const request of requests) {
          const wanted = request.platformNamed ? [request.platform] : platformsOf(request.set)
          for (const platform of wanted) {
            if (ending.signal.aborted) return
            if (await makeReady({ ...request, platform }, isNamed)) outdatedCount += 1
          }
        }
      }
      if (outdatedCount > 0) {
        warn(`${outdatedCount} of the images that were pulled most are no longer in the package set`)
      }
    },
    start() {
      const next = async () => {
        await warmer.round().catch((error: unknown) => warn(`cannot make images ready: ${String(error)}`))
        if (!ending.signal.aborted) timer = setTimeout(() => void next(), every * 1000).unref()
      }
      void next()
    },
    stop() {
      ending.abort()
      clearTimeout(timer)
    },
  }
  return warmer
}
