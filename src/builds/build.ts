import type { ImageKey, KnownLayer, LayerKey } from '../catalog/catalog.ts'
import type { Closure } from '../closure/graph.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { withListings } from '../contents/known-listings.ts'
import type { ImageRequest } from '../image/name.ts'
import type { ImageSpec } from '../image/spec.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Nix, Watch } from '../nix/nix.ts'
import { DerivationGone, type WantedOutput } from '../nix/realise.ts'
import type { PinnedSet } from '../packages/source.ts'
import type { SharedCache } from '../sharing/shared-cache.ts'
import { unwanted } from '../queue/demand.ts'
import { closureOf, knownClosure } from './closure.ts'
import { ofRecipes } from './base-failures.ts'
import type { Bases } from './bases.ts'
import { agreement, withFirstBytes } from './first-bytes.ts'
import { fromCaches, type CacheOrigin } from './from-caches.ts'
import { imageKey } from './image-key.ts'
import { isComplete, parseImage, publishImage, type Image } from './image.ts'
import { baseLayersOf, budgetOf, layerSpecs, type LayerOptions, type LayerSpec } from './layers.ts'
import { parseLinkFacts } from './layers.ts'
import { knownLayers, packFromMembers, packLayers, type PackingDeps } from './packing.ts'
import type { Resolver } from './resolve.ts'
import { rootsOf, outputsToRealise, specFor } from './spec-of.ts'

export type Layering = Omit<LayerOptions, 'compressorId'>

export type FlowDeps = Pick<PackingDeps, 'catalog' | 'blobs' | 'packer' | 'contents'> & {
  /** Binary caches, if images can be built from them. */
  readonly origin?: CacheOrigin | undefined
  /** The binary cache that decides which bytes of a store path count. */
  readonly shared?: SharedCache | undefined
  readonly nix: Nix
  readonly resolver: Resolver
  readonly bases: Bases
  /** Labels of every image, besides those from its packages. */
  readonly labels: Readonly<Record<string, string>>
}

/** One build. */
export type Context = FlowDeps &
  PackingDeps & {
    readonly layering: Layering
    readonly request: ImageRequest
    /** For callers that may not build: names are not evaluated, and `enter` fails. */
    readonly readyOnly?: true
    /** Takes a place in the queue, before work that may wait. @throws OVERLOADED */
    readonly enter: () => void
    /** Called when Nix begins to realise. From then on the build cannot be cancelled, since later requests can use it. */
    readonly begin: () => void
    /** Called before the image is recorded. @throws if this build may no longer record it */
    readonly mayRecord?: () => Promise<void>
  }

/** An image, and its key in the catalog. */
export type BuiltImage = { readonly image: Image; readonly key: ImageKey }

/**
 * The whole flow, from a request to a published image. Each step first queries the catalog.
 * @throws the errors of its steps: PACKAGE_UNKNOWN, PACKAGE_INVALID, PACKAGE_DENIED, SOURCE_INVALID, EVALUATION_TIMEOUT,
 *   BUILD_FAILED, BUILD_TIMEOUT, NIX_UNAVAILABLE, STORE_FULL, STORE_UNAVAILABLE, OVERLOADED, CANCELLED, NOT_READY
 */
export async function build(context: Context, pinned: PinnedSet): Promise<BuiltImage> {
  context.origin?.caches.prepare()
  const attempt = async (again: boolean) => {
    const { spec, named } = await specFor(context, context.request, pinned, { ...context, again })
    const built = await fromSpec(context, spec).catch((error: unknown) => {
      throw ofRecipes(error, named, spec.base)
    })
    await context.catalog.rememberRoots(built.key, rootsOf(spec))
    return built
  }
  return attempt(false).catch((error: unknown) => {
    if (error instanceof DerivationGone) return attempt(true)
    if (error instanceof LayerRemoved) return attempt(false)
    throw error
  })
}

/** A layer was removed while its image was being built. */
class LayerRemoved extends NixeryError<'STORE_UNAVAILABLE'> {}

async function fromSpec(context: Context, spec: ImageSpec): Promise<BuiltImage> {
  const roots = rootsOf(spec)
  const remembered = await knownClosure(context.catalog, roots)
  const known = remembered && (await fromKnown(context, spec, remembered))
  if (known) return known
  if (context.signal.aborted) throw unwanted()

  context.enter()
  if (spec.base) {
    context.emit({ type: 'nix', line: `copying the base ${spec.base.reference}` })
    await context.bases.fetch(spec.base, spec.platform, context)
  }
  const { origin } = context
  if (origin && (origin.mode === 'caches' || !(await isInStore(context, roots)))) {
    const built = await fromCaches({ ...context, origin }, roots, (closure, parts) =>
      fromContents({ ...context, ...parts }, spec, closure),
    )
    if (built) return built
  }
  const started = performance.now()
  const watch = {
    signal: context.signal,
    urgency: context.urgency,
    onBegin: context.begin,
    onLine: (line: string) => context.emit({ type: 'nix', line }),
  }
  const fromStore = (closure: Closure, more: Pick<Context, 'contents'> & Partial<Context>) => {
    const facts = [...closure.paths.values()]
    const narBytes = facts.reduce((sum, { narSize }) => sum + narSize, 0)
    context.emit({ type: 'realised', paths: facts.length, narBytes, ms: performance.now() - started })
    return fromContents({ ...context, ...more }, spec, closure)
  }
  return context.nix.withRealised(outputsToRealise(spec), watch, async (fresh) => {
    context.enter()
    const { shared } = context
    if (shared) {
      return withFirstBytes({ ...context, shared }, roots, watch, (closure, contents, remembering) =>
        fromStore(closure, { contents, remembering }),
      )
    }
    const closure = await realisedClosure(context, roots, fresh, watch)
    const facts = [...closure.paths.values()]
    const contents = withListings(context.contents, facts, context.catalog.listings)
    return fromStore(closure, { contents })
  })
}

/** Packs the missing layers of an image, and publishes it. */
async function fromContents(context: Context, spec: ImageSpec, closure: Closure): Promise<BuiltImage> {
  const specs = specsOf(context, spec, closure)
  const known = await knownLayers(context, specs)
  context.emit({ type: 'planned', layers: specs.length, known: known.size })
  const missing = specs.filter(({ key }) => !known.has(key))
  const packed = await packLayers(context, missing)
  await context.remembering?.confirm()
  return compose(context, spec, keyFor(context, spec, closure), specs, new Map([...known, ...packed]))
}

/** Whether these paths, and so their closure, are valid in the store. */
async function isInStore(context: Context, roots: readonly StorePath[]): Promise<boolean> {
  const { contents } = context
  // Check the files first, since Nix takes longer to report a missing path.
  const entries = await Promise.all(roots.map((root) => contents.look(root)))
  if (entries.includes(undefined)) return false
  return contents.facts(roots, context).then(
    () => true,
    (error: unknown) => {
      if (context.signal.aborted) throw unwanted()
      if (hasCode(error, 'BUILD_FAILED')) return false
      throw error
    },
  )
}

/**
 * The closure of protected outputs. The facts of `fresh` outputs, which were not protected before, are read from Nix again:
 * such a path may have been removed since then, and built again with other bytes.
 */
async function realisedClosure(
  { catalog, contents }: Context,
  roots: readonly StorePath[],
  fresh: readonly WantedOutput[],
  watch: Watch,
): Promise<Closure> {
  const facts = await contents.facts(
    fresh.map(({ outputPath }) => outputPath),
    watch,
  )
  await catalog.rememberPathFacts(facts)
  const known = await knownClosure(catalog, roots, facts)
  if (known) return known
  const all = await contents.facts(roots, watch)
  await catalog.rememberPathFacts(all)
  return closureOf(roots, all)
}

/** The image, if all its layers exist or can be packed from members, without Nix and without store paths. */
async function fromKnown(
  context: Context,
  spec: ImageSpec,
  closure: Closure,
): Promise<BuiltImage | undefined> {
  const { shared } = context
  const agreed = !shared || (await agreement({ ...context, shared }, closure))
  if (agreed === false) return undefined
  const key = keyFor(context, spec, closure)
  const image = await context.catalog.image(key, parseImage)
  if (image && (await isComplete(context.blobs, image))) {
    warn(context, image)
    return { image, key }
  }
  // Known images are served while the shared cache fails; no new ones are made.
  if (agreed !== true) throw agreed
  if (spec.base && !(await context.bases.isFetched(spec.base))) return undefined
  const specs = specsOf(context, spec, closure)
  const known = await knownLayers(context, specs)
  const missing = specs.filter((layer) => !known.has(layer.key))
  if (missing.length > 0) context.enter()
  const packed = await packFromMembers(context, missing)
  if (!packed) return undefined
  context.emit({ type: 'planned', layers: specs.length, known: known.size })
  return compose(context, spec, key, specs, new Map([...known, ...packed]))
}

const specsOf = ({ bases, layering, packer }: Context, spec: ImageSpec, closure: Closure): LayerSpec[] => {
  const { base } = spec
  return layerSpecs(closure, spec, {
    ...layering,
    maxLayers: budgetOf(spec, layering.maxLayers),
    compressorId: packer.compressorId,
    ...(base && { scans: () => bases.scans(base) }),
  })
}

async function compose(
  context: Context,
  spec: ImageSpec,
  key: ImageKey,
  specs: readonly LayerSpec[],
  layerByKey: ReadonlyMap<LayerKey, KnownLayer>,
): Promise<BuiltImage> {
  const layers = specs.map((each) => {
    const layer = layerByKey.get(each.key)
    if (!layer) throw new Error(`the layer is neither known nor packed: ${each.comment}`)
    return { layer, comment: each.comment }
  })
  const facts = parseLinkFacts(layers.at(-1)?.layer.facts)
  if (!facts) throw new Error('the last layer has no facts about the config')
  const image = await publishImage(context.blobs, spec, [...baseLayersOf(spec), ...layers], facts)
  warn(context, image)
  await context.mayRecord?.()
  // Another process may be collecting garbage. Before it deletes a layer, it checks the catalog for new images, but it may
  // have deleted one before this image was recorded.
  await context.catalog.rememberImage(key, image)
  if (!(await isComplete(context.blobs, image))) {
    const message = 'a layer was removed from the store while its image was being built'
    throw new LayerRemoved('STORE_UNAVAILABLE', message, { hint: 'try again' })
  }
  return { image, key }
}

/** Emits the image's warnings in each build, because clients see only the events of their own build. */
function warn({ emit }: Context, { warnings = [] }: Image): void {
  for (const message of warnings) emit({ type: 'warning', message })
}

const keyFor = ({ layering, packer }: Context, spec: ImageSpec, closure: Closure): ImageKey =>
  imageKey(spec, closure, layering, packer.compressorId)
