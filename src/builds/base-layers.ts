import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { BaseProblem } from '../bases/errors.ts'
import { readLayer } from '../bases/layer.ts'
import type { BaseRegistry } from '../bases/registry.ts'
import { attemptIn, takeRoom } from '../bases/scan.ts'
import { parseScan, scanText, scanVersion } from '../bases/scan-text.ts'
import type { Catalog, LayerKey } from '../catalog/catalog.ts'
import { systemErrorCode } from '../errors.ts'
import type { BaseImage, PinnedBase } from '../image/base.ts'
import { keyOf } from '../image/canonical.ts'
import type { Layer } from '../image/oci.ts'
import { layerFormats } from '../layers/format.ts'
import type { PartialDemand } from '../queue/demand.ts'
import { createLimiter } from '../queue/limiter.ts'
import type { BaseEntry } from '../rootfs/base-entry.ts'
import { storeError } from '../store/store.ts'
import type { Blobs } from './blobs.ts'
import { createFlights } from './single-flight.ts'

/** The layers of base images, stored unchanged. */
export type BaseLayers = {
  /** The layers that are missing from the store, or have not been read. */
  missing(base: BaseImage): Promise<readonly Layer[]>
  /**
   * Copies layers of a base, each once for all concurrent callers.
   * @throws BaseProblem, STORE_FULL, STORE_UNAVAILABLE
   */
  copy(base: PinnedBase, layers: readonly Layer[], demand: PartialDemand): Promise<void>
  /** The entries of each layer. @throws BaseProblem */
  scans(base: BaseImage): Promise<readonly (readonly BaseEntry[])[]>
}

export type BaseLayersDeps = {
  readonly catalog: Pick<Catalog, 'layers' | 'rememberLayer'>
  readonly blobs: Pick<Blobs, 'find' | 'publish' | 'read' | 'spoolDirectory'>
  readonly registry: Pick<BaseRegistry, 'layer'>
  /** The maximum uncompressed size of a base in bytes. */
  readonly size: number
  /** Runs work with a registry within the time limit. */
  readonly inTime: <T>(signal: AbortSignal, work: (signal: AbortSignal) => Promise<T>) => Promise<T>
}

// The maximum number of files of a base, including those replaced by upper layers, and of bytes of their names and
// links.
const mostEntries = 400_000
const mostNames = 64 * 1024 * 1024
// The maximum number of layers copied at once, and of attempts for an interrupted transfer.
const atOnce = 3
const attempts = 3

const scanKey = ({ digest }: Pick<Layer, 'digest'>): LayerKey =>
  keyOf('layer', 1, { baseLayer: digest, scan: scanVersion })

export function createBaseLayers({
  catalog,
  blobs,
  registry,
  size: mostBytes,
  inTime,
}: BaseLayersDeps): BaseLayers {
  const copies = createFlights<void>()
  const limiter = createLimiter(atOnce)
  const most = { bytes: mostBytes, entries: mostEntries }
  const newRoom = () => ({ ...most, names: mostNames })

  /** Copies a layer from its registry, or only reads it if it is already in the store. */
  const copyOne = async (
    base: PinnedBase,
    layer: Layer,
    room: ReturnType<typeof newRoom>,
    signal: AbortSignal,
  ): Promise<void> => {
    const { digest, size, compression } = layer
    let entries: readonly BaseEntry[]
    if ((await blobs.find(digest)) === size) {
      entries = await readLayer(await blobs.read(digest), layer, { room, most, signal })
    } else {
      const file = join(blobs.spoolDirectory, randomUUID())
      try {
        entries = await inTime(signal, async (each) =>
          readLayer(await registry.layer(base, digest, each), layer, { room, most, file, signal: each }),
        )
        const mediaType = layerFormats[compression].mediaTypes.oci
        await blobs.publish({ digest, size, mediaType }, { file })
      } catch (error) {
        throw systemErrorCode(error) === undefined ? error : storeError(error, 'copying a base image')
      } finally {
        await rm(file, { force: true })
      }
    }
    await catalog.rememberLayer(scanKey(layer), { ...layer, facts: scanText(entries) ?? '' }, [])
  }

  const copyWithRetries: typeof copyOne = async (base, layer, room, signal) => {
    for (let left = attempts - 1; ; left -= 1) {
      const attempt = attemptIn(room)
      try {
        return await copyOne(base, layer, attempt.room, signal)
      } catch (error) {
        if (!(error instanceof BaseProblem && error.passing) || left === 0 || signal.aborted) throw error
        attempt.undo()
      }
    }
  }

  return {
    async missing({ layers }) {
      const rows = await catalog.layers(layers.map(scanKey))
      const here = await Promise.all(
        layers.map(async (layer) => {
          const isScanned = rows.get(scanKey(layer))?.diffId === layer.diffId
          return isScanned && (await blobs.find(layer.digest)) === layer.size
        }),
      )
      return layers.filter((_, index) => !here[index])
    },

    async copy(base, layers, waiter) {
      const room = newRoom()
      const copyInTurn = (layer: Layer) =>
        copies.run(
          layer.digest,
          (demand) => limiter.run(() => copyWithRetries(base, layer, room, demand.signal), demand),
          waiter,
        )
      const settled = await Promise.allSettled(layers.map(copyInTurn))
      for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason
    },

    async scans({ layers }) {
      const rows = await catalog.layers(layers.map(scanKey))
      const room = newRoom()
      const scans: (readonly BaseEntry[])[] = []
      for (const layer of layers) {
        const kept = parseScan(rows.get(scanKey(layer))?.facts)
        // Its layers may have been read one by one for other bases.
        for (const entry of kept ?? []) takeRoom(room, roomOf(entry), most.entries)
        scans.push(kept ?? (await readLayer(await blobs.read(layer.digest), layer, { room, most })))
      }
      return scans
    },
  }
}

const roomOf = (entry: BaseEntry) => ({
  path: entry.path,
  ...(entry.kind === 'link' && { target: entry.target }),
  ...(entry.kind === 'file' && { text: entry.text?.length ?? 0 }),
})
