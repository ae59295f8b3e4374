import { randomUUID } from 'node:crypto'
import type { Catalog } from '../catalog/catalog.ts'
import type { Closure } from '../closure/graph.ts'
import { NixeryError } from '../errors.ts'
import { keyOf } from '../image/canonical.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import type { Layer } from '../image/oci.ts'
import type { StorePath } from '../image/store-path.ts'
import { archiveVersion } from '../layers/archive.ts'
import type { Packer } from '../layers/pack.ts'
import type { SetPolicy } from '../nix/evaluate.ts'
import type { Nix } from '../nix/nix.ts'
import { isDerivationGone } from '../nix/realise.ts'
import type { ResolvedPackage } from '../packages/resolution.ts'
import type { PackageSource } from '../packages/source.ts'
import { rootfsVersion } from '../rootfs/rootfs.ts'
import type { Blobs } from './blobs.ts'
import { closureKey, closureOf, knownClosure } from './closure.ts'
import type { BuildListener, Emit } from './events.ts'
import { isWhole, publishImage, type Image } from './image.ts'
import { knownLayers, packLayers, wantedLayers, type LayerOptions, type WantedLayer } from './layers.ts'
import { resolve } from './resolve.ts'
import { createFlights, type Start } from './single-flight.ts'

export type Layering = Omit<LayerOptions, 'compressorId'>

export type BuilderDeps = {
  readonly source: PackageSource
  readonly nix: Nix
  readonly policy: SetPolicy
  /** Whether an attribute may be in images here. */
  readonly allowed: (attribute: string) => boolean
  readonly catalog: Catalog
  readonly blobs: Blobs
  readonly packer: Packer
  /** How layers are planned. Asked once for each build: popularity data may change while one is at work. */
  readonly layering: () => Layering
  readonly listener: BuildListener
}

/** The conductor: from a request to a published image. */
export type Builder = {
  /**
   * Equal requests that come while one is at work wait for the same build. A request that leaves (its signal
   * fires) does not end it while another waits, and none ends it once Nix has begun to realise.
   * @param request.id for the log
   */
  build(image: ImageRequest, request: { id: string; signal?: AbortSignal }): Promise<Image>
}

type Context = Omit<BuilderDeps, 'layering'> & {
  readonly layering: Layering
  readonly request: ImageRequest
  readonly signal: AbortSignal
  /** From here on the build goes on, whoever leaves. */
  readonly commit: () => void
  readonly emit: Emit
  readonly packing: ReturnType<typeof createFlights<Layer>>
}

export function createBuilder(deps: BuilderDeps): Builder {
  const builds = createFlights<Image>()
  const packing = createFlights<Layer>()
  const ids = new Map<string, string>()

  return {
    async build(request, { id, signal }) {
      const pinned = await deps.source.pin(request.tag)
      const { platform, shell, packages } = request
      const key = keyOf('build', 1, { revision: pinned.revision, system: platform.system, shell, packages })

      const start: Start<Image> = async (abandoned, commit) => {
        const build = randomUUID()
        ids.set(key, build)
        const emit: Emit = (event) => deps.listener(build, event)
        const context = {
          ...deps,
          layering: deps.layering(),
          request,
          signal: abandoned,
          commit,
          emit,
          packing,
        }
        const started = performance.now()
        emit({ type: 'started', image: formatImageName(request) })
        try {
          const attempt = async (again: boolean) =>
            buildImage(context, await resolve(context, request, pinned, { ...context, again }))
          const image = await attempt(false).catch((error: unknown) => {
            if (isDerivationGone(error)) return attempt(true)
            throw error
          })
          emit({ type: 'finished', digest: image.manifests.oci.digest, ms: performance.now() - started })
          return image
        } catch (error) {
          emit({ type: 'failed', error, ms: performance.now() - started })
          throw error
        } finally {
          if (ids.get(key) === build) ids.delete(key)
        }
      }
      const image = builds.run(key, start, signal)
      const build = ids.get(key)
      if (build) deps.listener(build, { type: 'joined', request: id })
      return image
    },
  }
}

async function buildImage(context: Context, packages: readonly ResolvedPackage[]): Promise<Image> {
  const roots = packages.map(({ outputPath }) => outputPath)
  const remembered = await knownClosure(context.catalog, roots)
  const known = remembered && (await fromKnown(context, roots, remembered))
  if (known) return known
  if (context.signal.aborted) throw new NixeryError('CANCELLED', 'nobody waits for this build any more')

  // What Nix has begun to realise is of use to later requests, whoever waits for this one.
  context.commit()
  const started = performance.now()
  const watch = { onLine: (line: string) => context.emit({ type: 'nix', line }) }
  return context.nix.withRealised(packages, watch, async () => {
    const facts = await context.nix.closureFacts(roots, watch)
    const narBytes = facts.reduce((sum, { narSize }) => sum + narSize, 0)
    context.emit({ type: 'realised', paths: facts.length, narBytes, ms: performance.now() - started })
    await context.catalog.rememberPathFacts(facts)
    const closure = closureOf(roots, facts)
    const wanted = wantedOf(context, roots, closure)
    const present = await knownLayers(context, wanted)
    context.emit({ type: 'planned', layers: wanted.length, known: present.size })
    const missing = wanted.filter(({ key }) => !present.has(key))
    const packed = await packLayers(context, missing, context.emit)
    return compose(context, closure, wanted, new Map([...present, ...packed]))
  })
}

/** The image if all its layers exist already: without Nix, and without the store paths. */
async function fromKnown(
  context: Context,
  roots: readonly StorePath[],
  closure: Closure,
): Promise<Image | undefined> {
  const remembered = await context.catalog.image(imageKey(context, roots, closure))
  if (remembered !== undefined) {
    const image = JSON.parse(remembered) as Image
    if (await isWhole(context.blobs, image)) return image
  }
  const wanted = wantedOf(context, roots, closure)
  const present = await knownLayers(context, wanted)
  if (wanted.some(({ key }) => !present.has(key))) return undefined
  context.emit({ type: 'planned', layers: wanted.length, known: present.size })
  return compose(context, closure, wanted, present)
}

const wantedOf = (context: Context, roots: readonly StorePath[], closure: Closure): WantedLayer[] => {
  const options = { ...context.layering, compressorId: context.packer.compressorId }
  return wantedLayers(closure, roots, context.request.platform, options, context.emit)
}

async function compose(
  context: Context,
  closure: Closure,
  wanted: readonly WantedLayer[],
  made: ReadonlyMap<string, Layer>,
): Promise<Image> {
  const layers = wanted.map(({ key, comment }) => {
    const layer = made.get(key)
    if (!layer) throw new Error(`layer was neither known nor packed: ${comment}`)
    return { layer, comment }
  })
  const image = await publishImage(context.blobs, context.request.platform, layers, context.request)
  await context.catalog.rememberImage(imageKey(context, closure.roots, closure), JSON.stringify(image))
  return image
}

/** All that an image's bytes depend on. */
function imageKey(
  { request, layering, packer }: Context,
  roots: readonly StorePath[],
  closure: Closure,
): string {
  const { strategy, maxLayers, popularity } = layering
  return keyOf('image', 1, {
    roots,
    closure: closureKey(closure),
    architecture: request.platform.architecture,
    shell: request.shell,
    strategy,
    maxLayers,
    popularity: popularity.version,
    compressor: packer.compressorId,
    formats: [archiveVersion, rootfsVersion],
  })
}
