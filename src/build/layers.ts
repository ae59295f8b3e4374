import type { Catalog } from '../catalog/catalog.ts'
import type { Closure } from '../closure/graph.ts'
import type { Popularity } from '../closure/popularity.ts'
import { keyOf } from '../image/canonical.ts'
import { mediaTypes, type Layer } from '../image/oci.ts'
import type { Platform } from '../image/platform.ts'
import { storePathName, type StorePath } from '../image/store-path.ts'
import { archiveVersion } from '../layers/archive.ts'
import type { Packer, Piece } from '../layers/pack.ts'
import { strategies } from '../layers/plan.ts'
import { rootfs, rootfsVersion } from '../rootfs/rootfs.ts'
import type { Blobs } from './blobs.ts'
import { closureKey } from './closure.ts'
import type { Emit } from './events.ts'
import type { Flights } from './single-flight.ts'

/** A layer that an image is to have: what it is keyed by, and how to get its pieces when it must be packed. */
export type WantedLayer = {
  readonly key: string
  /** A line for `docker history`. */
  readonly comment: string
  /** Bytes of the store paths in it; what takes longest is packed first. */
  readonly narSize: number
  readonly paths: readonly StorePath[]
  pieces(): Promise<{ pieces: readonly Piece[]; memberKeys: readonly string[] }>
}

export type LayerOptions = {
  readonly strategy: keyof typeof strategies
  readonly popularity: Popularity
  readonly maxLayers: number
  readonly compressorId: string
}

/**
 * The layers of an image in manifest order: those of the plan, and the tree of links last.
 * @param packages the requested packages' outputs, in the image's order
 */
export function wantedLayers(
  closure: Closure,
  packages: readonly StorePath[],
  platform: Platform,
  options: LayerOptions,
  emit: Emit,
): WantedLayer[] {
  const { strategy, compressorId } = options
  const plan = strategies[strategy](closure, options)
  const factsOf = (path: StorePath) => {
    const facts = closure.paths.get(path)
    if (!facts) throw new Error(`not in the closure: ${path}`)
    return facts
  }
  const memberKey = (path: StorePath) =>
    keyOf('member', archiveVersion, { path, narHash: factsOf(path).narHash, compressorId })

  const layers = plan.layers.map(({ paths }): WantedLayer => {
    const memberKeys = paths.map(memberKey)
    return {
      key: keyOf('layer', 1, memberKeys),
      comment: listed(paths),
      narSize: paths.reduce((sum, path) => sum + factsOf(path).narSize, 0),
      paths,
      pieces: () => Promise.resolve({ pieces: paths.map((storePath) => ({ storePath })), memberKeys }),
    }
  })

  const links: WantedLayer = {
    key: keyOf('rootfs', rootfsVersion, {
      packages,
      closure: closureKey(closure),
      architecture: platform.architecture,
      archiveVersion,
      compressorId,
    }),
    comment: `links to ${listed(packages)}`,
    narSize: 0,
    paths: [],
    async pieces() {
      const { entries, conflicts } = await rootfs(packages, [...closure.paths.keys()], platform)
      for (const { path, taken, left } of conflicts) {
        emit({
          type: 'warning',
          message: `${path} is in two packages: ${taken} is taken, ${left} is left out`,
        })
      }
      return { pieces: [{ entries }], memberKeys: [] }
    },
  }
  return [...layers, links]
}

function listed(paths: readonly StorePath[]): string {
  const shown = paths.slice(0, 5).map(storePathName).join(', ')
  return paths.length > 5 ? `${shown} and ${paths.length - 5} more` : shown
}

/** What layers are found in and made with. */
export type LayerDeps = {
  readonly catalog: Catalog
  readonly blobs: Blobs
  readonly packer: Packer
  /** Layers that are being packed, by key, over all builds. */
  readonly packing: Flights<Layer>
}

/** The layers that exist, by key: remembered, and their blobs are whole. */
export async function knownLayers(
  { catalog, blobs }: LayerDeps,
  wanted: readonly WantedLayer[],
): Promise<Map<string, Layer>> {
  const found = new Map<string, Layer>()
  await Promise.all(
    wanted.map(async ({ key }) => {
      const layer = await catalog.layer(key)
      if (layer && (await blobs.find(layer.digest)) === layer.size) found.set(key, layer)
    }),
  )
  return found
}

/**
 * Packs and publishes layers, largest first; one that another build is packing is waited for. Their store paths
 * must stay valid meanwhile. Comes back when nothing reads them any more, also when it fails.
 */
export async function packLayers(
  deps: LayerDeps,
  wanted: readonly WantedLayer[],
  emit: Emit,
): Promise<Map<string, Layer>> {
  const largestFirst = wanted.toSorted((a, b) => b.narSize - a.narSize)
  const settled = await Promise.allSettled(
    largestFirst.map(
      async (layer) =>
        [layer.key, await deps.packing.run(layer.key, () => packLayer(deps, layer, emit))] as const,
    ),
  )
  const packed = new Map<string, Layer>()
  for (const outcome of settled) {
    if (outcome.status === 'rejected') throw outcome.reason
    packed.set(...outcome.value)
  }
  return packed
}

async function packLayer(
  { catalog, blobs, packer }: LayerDeps,
  wanted: WantedLayer,
  emit: Emit,
): Promise<Layer> {
  const started = performance.now()
  const { pieces, memberKeys } = await wanted.pieces()
  const { layer, file, spans } = await packer.pack(pieces)
  const mediaType = mediaTypes.oci.layer[layer.compression]
  await blobs.publish({ digest: layer.digest, size: layer.size, mediaType }, { file })
  const members = memberKeys.flatMap((key, index) => {
    const span = spans[index]
    return span ? [{ key, digest: layer.digest, ...span }] : []
  })
  await catalog.rememberLayer(wanted.key, layer, members)
  emit({
    type: 'packed',
    digest: layer.digest,
    size: layer.size,
    paths: wanted.paths.length,
    ms: performance.now() - started,
  })
  return layer
}
