import type { Catalog, KnownLayer, LayerKey } from '../catalog/catalog.ts'
import { afterReading, type Contents, type OpenPaths } from '../contents/contents.ts'
import type { StorePath } from '../image/store-path.ts'
import { hasCode, systemErrorCode } from '../errors.ts'
import { layerFormats } from '../layers/format.ts'
import { MemberGone, type Packer, type PackOptions, type Piece } from '../layers/pack.ts'
import type { Demand } from '../queue/demand.ts'
import { storeError } from '../store/store.ts'
import type { Blobs } from './blobs.ts'
import type { Emit } from './events.ts'
import type { LayerSpec } from './layers.ts'
import { linkFactsText, parseLinkFacts } from './layers.ts'
import { openMembers } from './members.ts'
import type { PackedAhead, ReadyLayer } from './packed-ahead.ts'
import type { Flights, Start } from './single-flight.ts'

/** For contents that count only when other workers have agreed. */
export type Remembering = {
  /** Whether the bytes of these paths count, or without any, of the whole closure. Waits until that is known. */
  mayRemember(paths: readonly StorePath[]): Promise<boolean>
  /** Called before an image is composed. @throws if some bytes do not count: the image is made again */
  confirm(): Promise<void>
}

/** What is needed to find and pack layers. */
export type PackingDeps = Demand & {
  readonly catalog: Catalog
  readonly blobs: Blobs
  readonly packer: Packer
  /** The contents of store paths. */
  readonly contents: Contents
  /** Store paths that are already being packed. */
  readonly packedAhead?: Pick<PackedAhead, 'take'>
  /** The layers that are being packed by all builds. */
  readonly packing: Flights<KnownLayer>
  readonly emit: Emit
  /** Undefined if all contents count. */
  readonly remembering?: Remembering
}

/** The layers that exist: recorded in the catalog with all facts, and complete in the store. */
export async function knownLayers(
  { catalog, blobs }: Pick<PackingDeps, 'catalog' | 'blobs'>,
  wanted: readonly LayerSpec[],
): Promise<Map<LayerKey, KnownLayer>> {
  const known = await catalog.layers(wanted.map(({ key }) => key))
  const found = await Promise.all(
    Array.from(known, async ([key, layer]) => [key, layer, await blobs.find(layer.digest)] as const),
  )
  const withFacts = new Set(wanted.filter(({ make }) => make).map(({ key }) => key))
  const isKnown = (key: LayerKey, { facts }: KnownLayer) =>
    !withFacts.has(key) || parseLinkFacts(facts) !== undefined
  return new Map(
    found.flatMap(([key, layer, size]) => (size === layer.size && isKnown(key, layer) ? [[key, layer]] : [])),
  )
}

/**
 * Packs and publishes layers, or waits for other builds that are packing them. The store paths must stay valid until this
 * returns or throws.
 */
export async function packLayers(
  deps: PackingDeps,
  wanted: readonly LayerSpec[],
): Promise<Map<LayerKey, KnownLayer>> {
  const packing = new Map<StorePath, Promise<unknown>>()
  const contents = deps.contents.isReadFirst ? afterReading(deps.contents, packing) : deps.contents
  const ofAll = { ...deps, contents }
  const members = lookUpMembers(deps, wanted)
  const pack = (layer: LayerSpec) => {
    const packed = packShared({ ...ofAll, members }, layer, true).catch((error: unknown) => {
      // Another build tried to use a member that is damaged, or ended what this one waits for.
      const isOfOther = hasCode(error, 'CANCELLED') && !deps.signal.aborted
      if (error instanceof MemberGone || isOfOther) return packShared(ofAll, layer, true)
      throw error
    })
    for (const { storePath } of layer.members) packing.set(storePath, packed)
    return packed
  }
  return packAll(wanted, pack)
}

/** Looks up the members of all layers in one statement: building one for each layer takes longer than running it. */
function lookUpMembers({ catalog }: PackingDeps, wanted: readonly LayerSpec[]): Catalog['members'] {
  const all = catalog.members(wanted.flatMap(({ members }) => members.map(({ key }) => key)))
  all.catch(() => {}) // reported to callers that wait for it
  return async (keys) => {
    const found = await all
    return new Map(
      keys.flatMap((key) => {
        const member = found.get(key)
        return member ? [[key, member]] : []
      }),
    )
  }
}

/**
 * Like `packLayers`, but only copies members. Returns undefined if a store path has no member, or if the tree of links is
 * missing, which is built from store paths.
 */
export async function packFromMembers(
  deps: PackingDeps,
  wanted: readonly LayerSpec[],
): Promise<Map<LayerKey, KnownLayer> | undefined> {
  if (wanted.some(({ make }) => make)) return undefined
  const keys = wanted.flatMap(({ members }) => members.map(({ key }) => key))
  if ((await deps.catalog.members(keys)).size < keys.length) return undefined
  try {
    return await packAll(wanted, (layer) => packShared(deps, layer, false))
  } catch (error) {
    if (error instanceof MemberGone) return undefined
    throw error
  }
}

/**
 * Packs a layer once for all builds that need it. It is cancelled when all of them are, unless a thread has started. A build
 * that is cancelled earlier still waits, because its store paths are being read.
 */
const packShared = (deps: LayerDeps, layer: LayerSpec, inStore: boolean): Promise<KnownLayer> => {
  const { signal, urgency } = deps
  const start: Start<KnownLayer> = (demand, commit) =>
    packLayer(deps, layer, inStore, { ...demand, onBegin: commit })
  return deps.packing.run(layer.key, start, { signal, urgency, untilOver: true })
}

async function packAll(
  wanted: readonly LayerSpec[],
  pack: (layer: LayerSpec) => Promise<KnownLayer>,
): Promise<Map<LayerKey, KnownLayer>> {
  // The largest first: paths are downloaded in this order, and no large layer is left for one thread at the end.
  const ordered = wanted.toSorted((one, other) => other.narSize - one.narSize)
  const layers = await allSettledOrThrow(ordered, pack)
  return new Map(ordered.flatMap(({ key }, index) => (layers[index] ? [[key, layers[index]]] : [])))
}

/** Like `Promise.all`, but waits for all work even if some fails. */
async function allSettledOrThrow<T, R>(all: readonly T[], each: (one: T) => Promise<R>): Promise<R[]> {
  const settled = await Promise.allSettled(all.map(each))
  return settled.map((outcome) => {
    if (outcome.status === 'rejected') throw outcome.reason
    return outcome.value
  })
}

/** `members`: those that were looked up already. */
type LayerDeps = PackingDeps & Partial<Pick<Catalog, 'members'>>

async function packLayer(
  deps: LayerDeps,
  wanted: LayerSpec,
  inStore: boolean,
  when: PackOptions,
): Promise<KnownLayer> {
  const started = performance.now()
  const { catalog, blobs } = deps
  const bytes = await packBytes(deps, wanted, inStore, when)
  const { copied, layer: packed, file, spans, listings, facts } = bytes
  const layer: KnownLayer = { ...packed, ...(facts !== undefined && { facts }) }
  const mediaType = layerFormats[layer.compression].mediaTypes.oci
  const listed = wanted.members.flatMap(({ facts: path }, index) => {
    const listing = listings[index]
    return listing === undefined ? [] : [{ facts: path, listing }]
  })
  // Before the layer is synced to the disk, which takes longer than making the tree of links.
  for (const one of listed) deps.contents.learn?.(one.facts.storePath, one.listing)
  try {
    await blobs.publish({ digest: layer.digest, size: layer.size, mediaType }, { file })
  } finally {
    await bytes.release?.()
  }
  const members = wanted.members.flatMap(({ key }, index) => {
    const span = spans[index]
    return span ? [{ key, digest: layer.digest, ...span }] : []
  })
  const paths = wanted.members.map(({ storePath }) => storePath)
  if ((await deps.remembering?.mayRemember(paths)) ?? true) {
    await catalog.rememberLayer(wanted.key, layer, members)
    await catalog.rememberListings(listed)
  }
  const ms = performance.now() - started
  const { digest, size } = layer
  deps.emit({ type: 'packed', digest, size, paths: wanted.members.length, copied, ms })
  return layer
}

/** `facts` is the JSON text for the catalog, for the tree of links. */
type PackedBytes = Awaited<ReturnType<Packer['pack']>> &
  Partial<Pick<ReadyLayer, 'release'>> & { readonly copied: number; readonly facts?: string }

/** Packs a layer from members; from store paths if there are none, or if one is damaged. */
async function packBytes(
  deps: LayerDeps,
  { members, narSize, make }: LayerSpec,
  inStore: boolean,
  when: PackOptions,
): Promise<PackedBytes> {
  const { packer, contents } = deps
  const options = { ...when, size: narSize }
  if (make) {
    const { entries, ...facts } = await make(contents)
    return { ...(await packer.pack([{ entries }], options)), copied: 0, facts: linkFactsText(facts) }
  }
  const [only] = members
  const ready = only && members.length === 1 ? await deps.packedAhead?.take(only.key) : undefined
  if (ready) {
    when.onBegin?.()
    return { ...ready.packed, copied: 0, release: ready.release }
  }
  const lookUp: Catalog['members'] = deps.members ?? ((keys) => deps.catalog.members(keys))
  const opened = await openMembers(
    { ...deps, members: lookUp },
    members.map(({ key }) => key),
  )
  let paths: OpenPaths | undefined
  /** Members if `copy` is set and they exist, and store paths for all others. */
  const piecesOf = async (copy: boolean): Promise<Piece[]> => {
    const isCopied = ({ key }: LayerSpec['members'][number]) => copy && opened.members.has(key)
    const read = members.filter((one) => !isCopied(one)).map(({ storePath }) => storePath)
    paths = await contents.open(read, when).catch((error: unknown) => {
      // Downloading a path needs disk space.
      throw systemErrorCode(error) === undefined ? error : storeError(error, 'downloading a path')
    })
    const { sources } = paths
    return members.map((one) => {
      const member = isCopied(one) && opened.members.get(one.key)
      const source = member ? { member } : sources[read.indexOf(one.storePath)]
      if (!source) throw new Error(`${one.storePath} has neither a member nor a source`)
      return source
    })
  }
  try {
    if (!inStore && opened.members.size < members.length) throw opened.gone()
    const packed = await packer.pack(await piecesOf(true), options)
    const listings = members.map(({ key }, index) => packed.listings[index] ?? opened.ahead.get(key))
    return { ...packed, listings, copied: opened.members.size - opened.ahead.size }
  } catch (error) {
    if (!(error instanceof MemberGone)) throw error
    await opened.doubt()
    if (!inStore) throw error
    await paths?.close()
    return { copied: 0, ...(await packer.pack(await piecesOf(false), options)) }
  } finally {
    await paths?.close()
    await opened.release()
  }
}
