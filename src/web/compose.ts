import { LRUCache } from 'lru-cache'
import { withoutSuggestions } from '../text/words.ts'
import type { Estimate, Estimates } from '../builds/estimates.ts'
import { isNixeryError } from '../errors.ts'
import type { HttpRequest } from '../http/request.ts'
import type { Digest } from '../image/digest.ts'
import { formatImageName, parseImageName, type ImageRequest, type Vocabulary } from '../image/name.ts'
import type { Platform } from '../image/platform.ts'
import { splitVersion } from '../image/version.ts'
import type { PackageEntry } from '../search/entry.ts'
import type { SearchResult, Search } from '../search/query.ts'
import { imageOf, parseComposition, type Composition } from './composition.ts'
import type { LayerKind, ShownLayer } from './layers-view.ts'

/** Finds packages, and describes images that do not exist yet. */
export type Finder = {
  /** Undefined if the server has no search. */
  readonly search: Pick<Search, 'find' | 'get'> | undefined
  readonly estimates: Estimates
  /** The available versions of a package, newest first. */
  readonly versionsOf: (set: string | undefined, attribute: string) => readonly string[]
  /** The package sets, the default first; a single one has no name. */
  readonly sets: readonly (string | undefined)[]
  readonly platforms: readonly Platform[]
  readonly vocabulary: Vocabulary
  /** Whether the names of images that others have pulled may be shown. */
  readonly showNames: boolean
  /** Whether a client may pull an image; by default, everyone may. */
  readonly mayPull?: ((request: HttpRequest, image: ImageRequest) => boolean) | undefined
  /** Whether a client may trigger the evaluation of a package set; by default, everyone may. */
  readonly mayEvaluate?: ((request: HttpRequest) => boolean) | undefined
}

/** A selected package. */
export type Choice = {
  /** As written in the image name, with its version, if any. */
  readonly written: string
  readonly name: string
  readonly version: string | undefined
  readonly entry: PackageEntry | undefined
  /** The available versions. */
  readonly versions: readonly string[]
}

/** The contents of the composer page. */
export type Composed = {
  readonly composition: Composition
  readonly sets: readonly (string | undefined)[]
  readonly platforms: readonly Platform[]
  /** Undefined without a query or a search. */
  readonly found: SearchResult | undefined
  readonly hasSearch: boolean
  readonly choices: readonly Choice[]
  /** The name of the image; undefined if nothing is selected. */
  readonly name: string | undefined
  /** Why the image does not exist, or this client may not pull it. */
  readonly problem: string | undefined
  readonly estimate: Estimate | undefined
  readonly layers: readonly ShownLayer[] | undefined
}

export const pageSize = 15

// Parsed names of packages that are kept: decisions of a policy are remembered for each.
const mostParsed = 10_000

type Parsed = LRUCache<string, { readonly image: ImageRequest | undefined }>
const parsedBy = new WeakMap<Vocabulary, Parsed>()

/** The image of a package; undefined if no image name can contain it. The same object each time. */
function imageNamed(name: string, vocabulary: Vocabulary): ImageRequest | undefined {
  const parsed: Parsed = parsedBy.get(vocabulary) ?? new LRUCache({ max: mostParsed })
  parsedBy.set(vocabulary, parsed)
  const known = parsed.get(name)
  if (known) return known.image
  let image: ImageRequest | undefined
  try {
    image = parseImageName(name, undefined, vocabulary)
  } catch {
    image = undefined
  }
  parsed.set(name, { image })
  return image
}

/** Whether a client may see packages by their names in a set. */
export function permitsFor(
  { mayPull, vocabulary }: Pick<Finder, 'mayPull' | 'vocabulary'>,
  request: HttpRequest,
  set: string | undefined,
): ((entry: Pick<PackageEntry, 'name'>) => boolean) | undefined {
  if (!mayPull) return undefined
  return ({ name }) => {
    const image = imageNamed(set === undefined ? name : `${set}/${name}`, vocabulary)
    return image !== undefined && mayPull(request, image)
  }
}

/** Collects the contents of the composer page for a URL, without evaluating or building anything. */
export async function compose(finder: Finder, request: HttpRequest): Promise<Composed> {
  const { search, sets, platforms, vocabulary, versionsOf, mayPull = () => true } = finder
  const composition = parseComposition(request.query, sets)
  const { set, query, offset } = composition
  const permits = permitsFor(finder, request, set)
  const isPermitted = permits ?? (() => true)
  const found =
    query.trim() === ''
      ? undefined
      : await search?.find({
          set,
          text: query,
          offset,
          limit: pageSize,
          permits,
          mayMake: finder.mayEvaluate?.(request) ?? true,
        })
  const choices = composition.packages.map((written): Choice => {
    const { name, version } = splitVersion(written) ?? { name: written, version: undefined }
    const isShown = isPermitted({ name })
    const entry = isShown ? search?.get(set, name.toLowerCase()) : undefined
    return {
      written,
      name,
      version,
      entry,
      versions: isShown ? versionsOf(set, entry?.attribute ?? name) : [],
    }
  })
  const common = { composition, sets, platforms, found, hasSearch: search !== undefined, choices }
  const nothing = { ...common, name: undefined, estimate: undefined, layers: undefined, problem: undefined }
  try {
    const image = imageOf(composition, vocabulary)
    if (!image) return nothing
    if (!mayPull(request, image)) return { ...nothing, problem: 'You may not pull this image.' }
    const estimate = await finder.estimates.of(withPlatform(image, platforms))
    const message = estimate.failure?.message
    const problem = message !== undefined && finder.mayPull ? withoutSuggestions(message) : message
    const layers =
      estimate.layers && (await shownLayers(finder, request, composition, estimate, formatImageName(image)))
    return { ...common, name: formatImageName(image), problem, estimate, layers }
  } catch (error) {
    if (!isNixeryError(error)) throw error
    return { ...nothing, problem: error.message }
  }
}

/** The image for the server's first platform, if its name has none. */
const withPlatform = (image: ImageRequest, [first]: readonly Platform[]): ImageRequest =>
  image.platformNamed || first === undefined ? image : { ...image, platform: first }

async function shownLayers(
  finder: Finder,
  request: HttpRequest,
  { have }: Composition,
  { layers = [] }: Estimate,
  itself: string,
): Promise<ShownLayer[]> {
  const { estimates, vocabulary, platforms, showNames, mayPull = () => true } = finder
  const had = new Set<Digest>()
  for (const name of have) {
    try {
      const image = parseImageName(name, undefined, vocabulary)
      if (!mayPull(request, image)) continue
      const known = await estimates.of(withPlatform(image, platforms))
      for (const { packed } of known.layers ?? []) if (packed) had.add(packed.digest)
    } catch (error) {
      if (!isNixeryError(error)) throw error // a made-up name
    }
  }
  const others = (await estimates.popular()).filter(
    ({ request: image }) => formatImageName(image) !== itself && mayPull(request, image),
  )
  return layers.map((layer): ShownLayer => {
    const { packed, narSize, comment } = layer
    // The image itself may be popular; that is not sharing.
    const sharing = packed ? others.filter(({ layers: known }) => known.has(packed.digest)) : []
    const kind: LayerKind =
      packed === undefined ? 'new' : had.has(packed.digest) ? 'had' : sharing.length > 0 ? 'shared' : 'own'
    return {
      title: comment,
      size: narSize > 0 ? narSize : (packed?.size ?? 0),
      packed: packed?.size,
      digest: packed?.digest,
      kind,
      sharedWith: showNames ? sharing.map(({ request: image }) => formatImageName(image)) : [],
    }
  })
}
