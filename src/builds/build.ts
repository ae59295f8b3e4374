import type { ImageKey, KnownLayer, LayerKey } from '../catalog/catalog.ts'
import type { Closure } from '../closure/graph.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { withListings } from '../contents/listed.ts'
import type { ImageRequest } from '../image/name.ts'
import { specOf, type ImageSpec } from '../image/spec.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Nix, Watch } from '../nix/nix.ts'
import { DerivationGone, type Wanted } from '../nix/realise.ts'
import type { PinnedSet } from '../packages/source.ts'
import { unwanted } from '../queue/demand.ts'
import { environment } from '../rootfs/environment.ts'
import { closureOf, knownClosure } from './closure.ts'
import { fromCaches, type CacheOrigin } from './from-caches.ts'
import { imageKey } from './image-key.ts'
import { isWhole, parseImage, publishImage, type Image } from './image.ts'
import { wantedLayers, type LayerOptions, type WantedLayer } from './layers.ts'
import { parseLinkFacts } from './link-facts.ts'
import { knownLayers, packFromMembers, packLayers, type PackingDeps } from './packing.ts'
import type { Resolver } from './resolve.ts'

export type Layering = Omit<LayerOptions, 'compressorId'>

export type FlowDeps = Pick<PackingDeps, 'catalog' | 'blobs' | 'packer' | 'contents'> & {
  /** Binary caches, where images may be made from them. */
  readonly origin?: CacheOrigin | undefined
  readonly nix: Nix
  readonly resolver: Resolver
  /** Labels that every image has, besides those that its packages give it. */
  readonly labels: Readonly<Record<string, string>>
}

/** One build. */
export type Context = FlowDeps &
  PackingDeps & {
    readonly layering: Layering
    readonly request: ImageRequest
    /** Takes a place in the queue, before work that may have to wait. @throws OVERLOADED */
    readonly enter: () => void
    /** Nix begins to realise. What it builds is of use to later requests: from here the build cannot be cancelled. */
    readonly begin: () => void
  }

/** An image, and the key under which the catalog has it. */
export type Made = { readonly image: Image; readonly key: ImageKey }

/**
 * The flow, from a request to a published image. Every step first asks what is known.
 * @throws what its steps do: PACKAGE_UNKNOWN, PACKAGE_INVALID, PACKAGE_DENIED, SOURCE_INVALID, EVALUATION_TIMEOUT,
 *   BUILD_FAILED, BUILD_TIMEOUT, NIX_UNAVAILABLE, STORE_FULL, STORE_UNAVAILABLE, OVERLOADED, CANCELLED
 */
export async function makeImage(context: Context, pinned: PinnedSet): Promise<Made> {
  const attempt = async (again: boolean) => {
    const {
      packages,
      recipe,
      roots: further,
    } = await context.resolver.resolve(context.request, pinned, {
      ...context,
      again,
    })
    const { revision, commit } = pinned
    const base = { env: environment, labels: context.labels }
    const spec = specOf(context.request, { revision, commit, packages, recipe, roots: further }, base)
    const made = await fromSpec(context, spec)
    const roots = rootsOf(spec)
    await context.catalog.rememberRoots(made.key, roots)
    return made
  }
  return attempt(false).catch((error: unknown) => {
    if (error instanceof DerivationGone) return attempt(true)
    if (error instanceof LayerLost) return attempt(false)
    throw error
  })
}

/** A layer of an image was removed while the image was made. */
class LayerLost extends NixeryError<'STORE_UNAVAILABLE'> {}

/** All store paths that an image is made for. */
const rootsOf = ({ packages, roots = [] }: ImageSpec): StorePath[] => [
  ...new Set([...packages, ...roots].map(({ outputPath }) => outputPath)),
]

async function fromSpec(context: Context, spec: ImageSpec): Promise<Made> {
  const roots = rootsOf(spec)
  const remembered = await knownClosure(context.catalog, roots)
  const known = remembered && (await fromKnown(context, spec, remembered))
  if (known) return known
  if (context.signal.aborted) throw unwanted()

  context.enter()
  const { origin } = context
  if (origin && (origin.mode === 'caches' || !(await isInStore(context, roots)))) {
    const made = await fromCaches({ ...context, origin }, roots, (closure, contents, signal) =>
      fromContents({ ...context, contents, signal }, spec, closure, 'links last'),
    )
    if (made) return made
  }
  const started = performance.now()
  const watch = {
    signal: context.signal,
    urgency: context.urgency,
    onBegin: context.begin,
    onLine: (line: string) => context.emit({ type: 'nix', line }),
  }
  return context.nix.withRealised(wantedOfSpec(spec), watch, async (fresh) => {
    context.enter()
    const closure = await realisedClosure(context, roots, fresh, watch)
    const facts = [...closure.paths.values()]
    const narBytes = facts.reduce((sum, { narSize }) => sum + narSize, 0)
    context.emit({
      type: 'realised',
      paths: facts.length,
      narBytes,
      ms: performance.now() - started,
    })
    const contents = withListings(context.contents, facts, (paths) => context.catalog.listings(paths))
    return fromContents({ ...context, contents }, spec, closure, 'at once')
  })
}

/**
 * Packs what is missing of an image, and makes it.
 * @param order whether the tree of links waits for the other layers: until they are packed, what lies where is not
 *   known of what comes from a cache
 */
async function fromContents(
  context: Context,
  spec: ImageSpec,
  closure: Closure,
  order: 'at once' | 'links last',
): Promise<Made> {
  const wanted = wantedOf(context, spec, closure)
  const present = await knownLayers(context, wanted)
  context.emit({ type: 'planned', layers: wanted.length, known: present.size })
  const missing = wanted.filter(({ key }) => !present.has(key))
  const first = order === 'at once' ? missing : missing.filter(({ make }) => !make)
  const packed = new Map(await packLayers(context, first))
  const rest = missing.filter(({ key }) => !packed.has(key))
  for (const [key, layer] of await packLayers(context, rest)) packed.set(key, layer)
  return compose(context, spec, keyFor(context, spec, closure), wanted, new Map([...present, ...packed]))
}

/** Whether these paths, and with them all that they reach, are valid in the store. */
async function isInStore(context: Context, roots: readonly StorePath[]): Promise<boolean> {
  const { contents } = context
  // Nix takes longer to say that it does not know one.
  const found = await Promise.all(roots.map((root) => contents.look(root)))
  if (found.includes(undefined)) return false
  return contents.facts(roots, context).then(
    () => true,
    (error: unknown) => {
      if (context.signal.aborted) throw unwanted()
      if (hasCode(error, 'BUILD_FAILED')) return false
      throw error
    },
  )
}

/** What Nix has to realise for an image. */
const wantedOfSpec = ({ packages, roots = [] }: ImageSpec): Wanted[] => [
  ...packages,
  ...roots.map(({ outputPath, of }) => ({ ...of, outputPath })),
]

/**
 * The closure of outputs that are protected now. Nix is asked of what was not protected before: such a path may have
 * been removed since its facts were remembered, and built again with other bytes.
 */
async function realisedClosure(
  { catalog, contents }: Context,
  roots: readonly StorePath[],
  fresh: readonly Wanted[],
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

/** The image if all its layers exist already, or can be made from members: without Nix and without the store paths. */
async function fromKnown(context: Context, spec: ImageSpec, closure: Closure): Promise<Made | undefined> {
  const key = keyFor(context, spec, closure)
  const image = await context.catalog.image(key, parseImage)
  if (image && (await isWhole(context.blobs, image))) {
    warn(context, image)
    return { image, key }
  }
  const wanted = wantedOf(context, spec, closure)
  const present = await knownLayers(context, wanted)
  const missing = wanted.filter((layer) => !present.has(layer.key))
  if (missing.length > 0) context.enter()
  const packed = await packFromMembers(context, missing)
  if (!packed) return undefined
  context.emit({ type: 'planned', layers: wanted.length, known: present.size })
  return compose(context, spec, key, wanted, new Map([...present, ...packed]))
}

const wantedOf = (context: Context, spec: ImageSpec, closure: Closure): WantedLayer[] => {
  const maxLayers = spec.maxLayers ?? context.layering.maxLayers
  const options = { ...context.layering, maxLayers, compressorId: context.packer.compressorId }
  return wantedLayers(closure, spec, options)
}

async function compose(
  context: Context,
  spec: ImageSpec,
  key: ImageKey,
  wanted: readonly WantedLayer[],
  made: ReadonlyMap<LayerKey, KnownLayer>,
): Promise<Made> {
  const layers = wanted.map((each) => {
    const layer = made.get(each.key)
    if (!layer) throw new Error(`layer was neither known nor packed: ${each.comment}`)
    return { layer, comment: each.comment }
  })
  const facts = parseLinkFacts(layers.at(-1)?.layer.facts)
  if (!facts) throw new Error('the tree of links was made without saying what else belongs to it')
  const image = await publishImage(context.blobs, spec, layers, facts)
  warn(context, image)
  // Another process may clean up at any time. Before it deletes a layer it asks the catalog for new images; what it took
  // before this one was there is missing now.
  await context.catalog.rememberImage(key, image)
  if (!(await isWhole(context.blobs, image))) {
    const message = 'a layer was removed from the store while its image was made'
    throw new LayerLost('STORE_UNAVAILABLE', message, { hint: 'try again' })
  }
  return { image, key }
}

/** Tells of what was left out, as often as the image is made: whoever pulls reads the events of one build. */
function warn({ emit }: Context, { warnings = [] }: Image): void {
  for (const message of warnings) emit({ type: 'warning', message })
}

const keyFor = ({ layering, packer }: Context, spec: ImageSpec, closure: Closure): ImageKey =>
  imageKey(spec, closure, layering, packer.compressorId)
