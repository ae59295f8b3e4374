import { LRUCache } from 'lru-cache'
import type { Catalog } from '../catalog/catalog.ts'
import type { Closure } from '../closure/graph.ts'
import { hasCode, isNixeryError, type NixeryError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import type { ImageSpec } from '../image/spec.ts'
import type { StorePath } from '../image/store-path.ts'
import type { PackageSets } from '../packages/sets.ts'
import { stateOf, type PinnedSet } from '../packages/source.ts'
import type { ChosenOutput } from '../packages/resolution.ts'
import type { Blobs } from './blobs.ts'
import type { Layering } from './build.ts'
import { knownClosure } from './closure.ts'
import type { Bases } from './bases.ts'
import { baseLayersOf, budgetOf, layerSpecs } from './layers.ts'
import { cachedPopularImages, type PopularImage } from './popular-images.ts'
import { knownLayers } from './packing.ts'
import type { Resolver } from './resolve.ts'
import { rootsOf, specFor } from './spec-of.ts'

/** A layer of an existing or planned image. Sizes are in bytes. */
export type EstimatedLayer = {
  /** The size of its store paths; 0 for the layer of links. */
  readonly narSize: number
  readonly comment: string
  readonly paths: readonly StorePath[]
  /** The download size; undefined for a layer that is not packed yet. */
  readonly packed: { readonly digest: Digest; readonly size: number } | undefined
}

/** What is known about an image without building it. */
export type Estimate = {
  readonly packages: readonly Pick<ChosenOutput, 'attribute' | 'version' | 'output' | 'license' | 'implied'>[]
  /** Packages and recipes about which nothing is known, because no image with them was pulled. */
  readonly unknown: readonly string[]
  /** The number of known store paths, and their size in bytes. */
  readonly paths: number
  readonly narSize: number
  /** Undefined unless the whole image is known. */
  readonly layers: readonly EstimatedLayer[] | undefined
  /** Why the image cannot exist. */
  readonly failure: NixeryError | undefined
}

/** Estimates images from the facts in the catalog. Nothing is evaluated, fetched, realised or packed. */
export type Estimates = {
  of(request: ImageRequest): Promise<Estimate>
  /** The most pulled images, with the digests of their layers. */
  popular(): Promise<readonly PopularImage[]>
}

export type EstimateDeps = {
  readonly sets: Pick<PackageSets, 'pin' | 'current'>
  readonly resolver: Pick<Resolver, 'resolve'>
  readonly bases: Pick<Bases, 'find'>
  readonly catalog: Catalog
  readonly blobs: Blobs
  readonly compressorId: string
  readonly layering: () => Layering
  readonly labels: Readonly<Record<string, string>>
  /** Parses an image name. @throws NAME_INVALID */
  readonly parse: (name: string) => ImageRequest
}

// The number of cached estimates, and for how long (ms): missing facts may become known soon.
const mostKept = 200
const keptFor = 5_000

export function createEstimates(deps: EstimateDeps): Estimates {
  const kept = new LRUCache<string, Promise<Estimate>>({ max: mostKept, ttl: keptFor })

  const of = async (original: ImageRequest): Promise<Estimate> => {
    const { request, pinned } = deps.sets.current(original) ?? (await deps.sets.pin(original, { old: true }))
    const key = `${formatImageName(request)} ${request.platform.system} ${stateOf(pinned)}`
    const known = kept.get(key)
    if (known) return known
    const estimate = estimateOf(deps, request, pinned)
    kept.set(key, estimate)
    estimate.catch(() => kept.delete(key))
    return estimate
  }

  return {
    of,
    popular: cachedPopularImages({ catalog: deps.catalog, parse: deps.parse, estimate: of }),
  }
}

type Part = Pick<Estimate, 'packages'> & { readonly spec: ImageSpec; readonly closure: Closure | undefined }

/** What is known about a request; undefined if its packages are unknown. @throws what resolving does */
async function partOf(
  deps: EstimateDeps,
  request: ImageRequest,
  pinned: PinnedSet,
): Promise<Part | undefined> {
  try {
    const options = { signal: undefined, readyOnly: true, emit() {} } as const
    const { spec, packages } = await specFor(deps, request, pinned, options)
    return { packages, spec, closure: await knownClosure(deps.catalog, rootsOf(spec)) }
  } catch (error) {
    if (hasCode(error, 'NOT_READY')) return undefined
    throw error
  }
}

async function estimateOf(deps: EstimateDeps, request: ImageRequest, pinned: PinnedSet): Promise<Estimate> {
  try {
    const whole = await partOf(deps, request, pinned)
    if (whole?.closure) return await wholeEstimate(deps, whole.spec, whole.closure, whole.packages)
    return await partialEstimate(deps, request, pinned)
  } catch (failure) {
    if (!isNixeryError(failure)) throw failure
    return { packages: [], unknown: [], paths: 0, narSize: 0, layers: undefined, failure }
  }
}

async function wholeEstimate(
  { layering, compressorId, catalog, blobs }: EstimateDeps,
  spec: ImageSpec,
  closure: Closure,
  packages: Estimate['packages'],
): Promise<Estimate> {
  const usual = layering()
  const options = { ...usual, maxLayers: budgetOf(spec, usual.maxLayers), compressorId }
  const wanted = layerSpecs(closure, spec, options)
  const known = await knownLayers({ catalog, blobs }, wanted)
  const ofBase = baseLayersOf(spec).map(({ layer: packed, comment }): EstimatedLayer => {
    return { narSize: 0, comment, paths: [], packed }
  })
  const own = wanted.map(({ key, narSize, comment, members }): EstimatedLayer => {
    const layer = known.get(key)
    const paths = members.map(({ storePath }) => storePath)
    return { narSize, comment, paths, packed: layer && { digest: layer.digest, size: layer.size } }
  })
  const layers = [...ofBase, ...own]
  const narSize = layers.reduce((sum, layer) => sum + layer.narSize, 0)
  return { packages, unknown: [], paths: closure.paths.size, narSize, layers, failure: undefined }
}

/** What is known about each package. */
async function partialEstimate(
  deps: EstimateDeps,
  request: ImageRequest,
  pinned: PinnedSet,
): Promise<Estimate> {
  const bare: ImageRequest = { ...request, packages: [], recipes: [], words: [] }
  const parts = [
    ...request.recipes.map((name) => ({ name, request: { ...bare, recipes: [name] } })),
    ...request.words.map((name) => ({ name, request: { ...bare, words: [name] } })),
    ...request.packages.map((name) => ({ name, request: { ...bare, packages: [name] } })),
  ]
  const unknown: string[] = []
  const packages = new Map<string, Estimate['packages'][number]>()
  const sizes = new Map<StorePath, number>()
  for (const part of parts) {
    const found = await partOf(deps, part.request, pinned)
    if (!found?.closure) unknown.push(part.name)
    for (const one of found?.packages ?? []) packages.set(`${one.attribute} ${one.output}`, one)
    for (const [path, { narSize }] of found?.closure?.paths ?? []) sizes.set(path, narSize)
  }
  const narSize = [...sizes.values()].reduce((sum, size) => sum + size, 0)
  return {
    packages: [...packages.values()],
    unknown,
    paths: sizes.size,
    narSize,
    layers: undefined,
    failure: undefined,
  }
}
