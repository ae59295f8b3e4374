import type { Catalog, KnownLayer, LayerKey, Member, MemberKey, PathListing } from '../catalog/catalog.ts'
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
import { openMembers, type OpenMembers } from './members.ts'
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
  const recorded = await catalog.layers(wanted.map(({ key }) => key))
  const known = new Map<LayerKey, KnownLayer>()
  await Promise.all(
    wanted.map(async ({ key, make }) => {
      const layer = recorded.get(key)
      if (!layer || (await blobs.find(layer.digest)) !== layer.size) return
      if (!make || parseLinkFacts(layer.facts) !== undefined) known.set(key, layer)
    }),
  )
  return known
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
  // In one statement for all layers: building one for each takes longer than running it.
  const members = deps.catalog.members(memberKeys(wanted))
  members.catch(() => {}) // reported to the layers that wait for it
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

const memberKeys = (wanted: readonly LayerSpec[]): MemberKey[] =>
  wanted.flatMap(({ members }) => members.map(({ key }) => key))

/**
 * Like `packLayers`, but only copies members. Returns undefined if a store path has no member, or if the tree of links is
 * missing, which is built from store paths.
 */
export async function packFromMembers(
  deps: PackingDeps,
  wanted: readonly LayerSpec[],
): Promise<Map<LayerKey, KnownLayer> | undefined> {
  if (wanted.some(({ make }) => make)) return undefined
  const keys = memberKeys(wanted)
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
  const layers = new Map<LayerKey, KnownLayer>()
  // Wait for all of them even if one fails, since they read the store paths.
  for (const [index, outcome] of (await Promise.allSettled(ordered.map(pack))).entries()) {
    if (outcome.status === 'rejected') throw outcome.reason
    const { key } = ordered[index] as LayerSpec
    layers.set(key, outcome.value)
  }
  return layers
}

/** `members`: those of all layers, if they are being looked up already. */
type LayerDeps = PackingDeps & { readonly members?: ReturnType<Catalog['members']> }

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
  const listed: PathListing[] = []
  const members: Member[] = []
  for (const [index, { storePath, facts: path, key }] of wanted.members.entries()) {
    const [listing, span] = [listings[index], spans[index]]
    if (listing !== undefined) {
      listed.push({ facts: path, listing })
      // Before the layer is synced to the disk, which takes longer than making the tree of links.
      deps.contents.learn?.(storePath, listing)
    }
    if (span) members.push({ key, digest: layer.digest, ...span })
  }
  try {
    await blobs.publish({ digest: layer.digest, size: layer.size, mediaType }, { file })
  } finally {
    await bytes.release?.()
  }
  const { remembering } = deps
  if (!remembering || (await remembering.mayRemember(wanted.members.map(({ storePath }) => storePath)))) {
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
  const keys = members.map(({ key }) => key)
  const opened = await openMembers(deps, keys, await (deps.members ?? deps.catalog.members(keys)))
  let paths: OpenPaths | undefined
  /** Those members that are copied, and store paths for all others. */
  const piecesOf = async (copied: OpenMembers['members']): Promise<Piece[]> => {
    const read = members.flatMap(({ key, storePath }) => (copied.has(key) ? [] : [storePath]))
    paths = await contents.open(read, when).catch((error: unknown) => {
      // Downloading a path needs disk space.
      throw systemErrorCode(error) === undefined ? error : storeError(error, 'downloading a path')
    })
    const { sources } = paths
    let next = 0
    return members.map((one) => {
      const member = copied.get(one.key)
      const source = member ? { member } : sources[next++]
      if (!source) throw new Error(`${one.storePath} has neither a member nor a source`)
      return source
    })
  }
  try {
    if (!inStore && opened.members.size < members.length) throw opened.gone()
    const packed = await packer.pack(await piecesOf(opened.members), options)
    const listings = members.map(({ key }, index) => packed.listings[index] ?? opened.ahead.get(key))
    return { ...packed, listings, copied: opened.members.size - opened.ahead.size }
  } catch (error) {
    if (!(error instanceof MemberGone)) throw error
    await opened.doubt()
    if (!inStore) throw error
    await paths?.close()
    return { copied: 0, ...(await packer.pack(await piecesOf(new Map()), options)) }
  } finally {
    await paths?.close()
    await opened.release()
  }
}
