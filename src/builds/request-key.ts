import { keyOf } from '../image/canonical.ts'
import type { ImageRequest } from '../image/name.ts'
import { splitVersion } from '../image/version.ts'
import { stateOf, type PinnedSet } from '../packages/source.ts'
import type { Layering } from './build.ts'
import { layeringKey } from './layers.ts'

/** Computes the key of a request. Requests with equal images have equal keys, which are used in memory only. */
export type RequestKeys = (
  request: ImageRequest,
  pinned: PinnedSet,
  layering: Layering,
  /** The state of the recipes (`RecipeBook`). */
  recipeState: string,
  /** The generation of the index of versions, on which the meaning of versions depends. Costs a query. */
  generation?: () => number,
) => string

type Last = {
  readonly state: string | undefined
  readonly revision: string
  readonly commit: string | undefined
  readonly name: string | undefined
  readonly layering: Layering
  readonly recipeState: string
  /** Undefined for a request without versions. */
  readonly generation: number | undefined
  readonly key: string
}

/** Caches the key of each request, as long as the package set and the layering stay the same. */
export function createRequestKeys(): RequestKeys {
  const keys = new WeakMap<ImageRequest, Last>()
  return (request, pinned, layering, recipeState, newest = () => 0) => {
    const last = keys.get(request)
    const isCurrent = last?.recipeState === recipeState && isSame(last, pinned, layering)
    if (last && isCurrent && (last.generation === undefined || last.generation === newest())) return last.key
    const { platform, recipes, words, packages } = request
    // The meaning of words depends on the package set.
    const commit = pinned.commit?.id
    const { name, revision, state } = pinned
    // Packages of recipes may have versions, too.
    const mayHaveVersions = recipeState !== '' || packages.some((each) => splitVersion(each))
    const generation = mayHaveVersions ? newest() : undefined
    const inputs = [platform.system, recipes, words, packages, recipeState]
    const key = JSON.stringify([generation, name, stateOf(pinned), commit, ...inputs, layeringKey(layering)])
    keys.set(request, { state, revision, commit, name, layering, recipeState, generation, key })
    return key
  }
}

/**
 * What an image depends on besides its request and the index of versions: the package set, its recipes and the
 * layering. Equal on all workers with equal settings.
 */
export const worldOf = (
  { name, revision, commit }: PinnedSet,
  layering: Layering,
  recipeState: string,
  compressorId: string,
): string =>
  keyOf('world', 1, {
    name,
    revision,
    commit: commit?.id,
    recipeState,
    compressorId,
    ...layeringKey(layering),
  })

const isSame = (last: Last, { state, revision, commit, name }: PinnedSet, layering: Layering): boolean =>
  last.state === state &&
  last.revision === revision &&
  last.commit === commit?.id &&
  last.name === name &&
  last.layering.strategy === layering.strategy &&
  last.layering.maxLayers === layering.maxLayers &&
  last.layering.popularity === layering.popularity
