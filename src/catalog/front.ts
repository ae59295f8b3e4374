import { LRUCache } from 'lru-cache'
import type { Digest } from '../image/digest.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import type { SubscribeToChanges } from './changes.ts'
import type { Catalog, ImageKey, KnownLayer, LayerKey, Parse, ResolutionKey } from './catalog.ts'
import { valueOf } from './rows.ts'

/** The approximate maximum size in memory of each kind of fact, in bytes. */
const most = { resolutions: 16e6, paths: 64e6, layers: 24e6, images: 32e6, blobs: 16e6 }

// Milliseconds for which a blob is believed to be there, if other processes can delete it: notifications may be lost. Shorter
// than the time from marking a blob to its deletion, since looking it up takes the mark off.
const believed = 1_800_000

// The overhead of an entry.
const entryBytes = 160

const asText: Parse<string> = (text) => text

function parsed<K, T>(texts: ReadonlyMap<K, string>, parse: Parse<T>): Map<K, T> {
  const values = new Map<K, T>()
  for (const [key, text] of texts) {
    const value = valueOf(text, parse)
    if (value !== undefined) values.set(key, value)
  }
  return values
}

/**
 * Puts an in-memory cache in front of a catalog. Written facts are in the cache even if the catalog could not store them.
 * @param subscribe reports changes by other processes, if there are others
 * @param ttl milliseconds for which blobs are then believed to be there
 */
export function withFront(catalog: Catalog, subscribe?: SubscribeToChanges, ttl = believed): Catalog {
  const forAWhile = subscribe ? { ttl, ttlResolution: Math.min(ttl, 1000) } : {}
  const texts = <K extends string>(maxSize: number) =>
    new LRUCache<K, string>({
      maxSize,
      sizeCalculation: (value, key) => value.length + key.length + entryBytes,
    })
  const resolutions = texts<ResolutionKey>(most.resolutions)
  const images = texts<ImageKey>(most.images)
  const paths = new LRUCache<StorePath, PathFacts>({
    maxSize: most.paths,
    sizeCalculation: ({ references }) => 2 * entryBytes + 100 * (1 + references.length),
  })
  const blobs = new LRUCache<Digest, number>({
    maxSize: most.blobs,
    ...forAWhile,
    sizeCalculation: () => entryBytes,
  })
  const layersIn = new Map<Digest, Set<LayerKey>>()
  const layers = new LRUCache<LayerKey, KnownLayer>({
    maxSize: most.layers,
    ...forAWhile,
    sizeCalculation: ({ facts = '' }) => 4 * entryBytes + facts.length,
    dispose({ digest }, key) {
      const keys = layersIn.get(digest)
      keys?.delete(key)
      if (keys?.size === 0) layersIn.delete(digest)
    },
  })
  const keepLayer = (key: LayerKey, layer: KnownLayer) => {
    layers.set(key, layer)
    const keys = layersIn.get(layer.digest) ?? new Set()
    layersIn.set(layer.digest, keys.add(key))
  }
  const forget = (digests: readonly Digest[]) => {
    for (const digest of digests) {
      blobs.delete(digest)
      for (const key of layersIn.get(digest) ?? []) layers.delete(key)
    }
  }

  // A row that was read while it was written or removed may be out of date.
  let writing = 0
  let writes = 0
  const write = async (change: () => void, work: () => Promise<void>) => {
    writing += 1
    writes += 1
    change()
    try {
      await work()
    } finally {
      writing -= 1
    }
  }
  subscribe?.({
    blobs(digests) {
      writes += 1
      forget(digests)
    },
    missed() {
      writes += 1
      blobs.clear()
      layers.clear()
    },
  })
  const read = async <T>(look: () => Promise<T>, keep: (found: T) => void): Promise<T> => {
    const before = writes
    const found = await look()
    if (writing === 0 && writes === before) keep(found)
    return found
  }
  /** Reads from memory, and the rest from the catalog. */
  const readAll = async <K extends string, V extends object | string>(
    keys: readonly K[],
    cache: LRUCache<K, V>,
    look: (missing: readonly K[]) => Promise<Map<K, V>>,
    keep: (key: K, value: V) => void = (key, value) => void cache.set(key, value),
  ): Promise<Map<K, V>> => {
    const found = new Map<K, V>()
    const missing: K[] = []
    for (const key of keys) {
      const value = cache.get(key)
      if (value === undefined) missing.push(key)
      else found.set(key, value)
    }
    if (missing.length === 0) return found
    const looked = await read(
      () => look(missing),
      (rest) => rest.forEach((value, key) => keep(key, value)),
    )
    for (const [key, value] of looked) found.set(key, value)
    return found
  }
  const manyLayers = (keys: readonly LayerKey[]) =>
    readAll(keys, layers, (missing) => catalog.layers(missing), keepLayer)

  return {
    ...catalog,
    async resolutions(keys, parse) {
      const found = await readAll(keys, resolutions, (missing) => catalog.resolutions(missing, asText))
      return parsed(found, parse)
    },
    rememberResolutions: (fresh, revision) =>
      write(
        () => fresh.forEach((value, key) => resolutions.set(key, JSON.stringify(value))),
        () => catalog.rememberResolutions(fresh, revision),
      ),
    pathFacts: (wanted) => readAll(wanted, paths, (missing) => catalog.pathFacts(missing)),
    rememberPathFacts: (facts) =>
      write(
        () => facts.forEach((one) => paths.set(one.storePath, one)),
        () => catalog.rememberPathFacts(facts),
      ),
    rememberListings: (listed) =>
      write(
        () => listed.forEach(({ facts }) => paths.set(facts.storePath, facts)),
        () => catalog.rememberListings(listed),
      ),
    layer: async (key) => (await manyLayers([key])).get(key),
    layers: manyLayers,
    rememberLayer: (key, layer, members) =>
      write(
        () => keepLayer(key, layer),
        () => catalog.rememberLayer(key, layer, members),
      ),
    async image(key, parse) {
      const text =
        images.get(key) ??
        (await read(
          () => catalog.image(key, asText),
          (found) => found !== undefined && images.set(key, found),
        ))
      return text === undefined ? undefined : valueOf(text, parse)
    },
    rememberImage: (key, image, madeAt) =>
      write(
        () => images.set(key, JSON.stringify(image)),
        () => catalog.rememberImage(key, image, madeAt),
      ),
    async blobSize(digest) {
      const known = blobs.get(digest)
      if (known !== undefined) return known
      return read(
        () => catalog.blobSize(digest),
        (found) => found !== undefined && blobs.set(digest, found),
      )
    },
    rememberBlob: (digest, size) =>
      write(
        () => blobs.set(digest, size),
        () => catalog.rememberBlob(digest, size),
      ),
    forgetBlob: (digest) =>
      write(
        () => forget([digest]),
        () => catalog.forgetBlob(digest),
      ),
    upkeep: {
      ...catalog.upkeep,
      forgetImages: (keys, since) =>
        write(
          () => keys.forEach((key) => images.delete(key)),
          () => catalog.upkeep.forgetImages(keys, since),
        ),
      withdrawBlobs: (digests) =>
        write(
          () => forget(digests),
          () => catalog.upkeep.withdrawBlobs(digests),
        ),
      forgetBlobs: (digests) =>
        write(
          () => forget(digests),
          () => catalog.upkeep.forgetBlobs(digests),
        ),
      marks: {
        ...catalog.upkeep.marks,
        add: (all) =>
          write(
            () => forget(all.map(({ digest }) => digest)),
            () => catalog.upkeep.marks.add(all),
          ),
        delete: (digests, seconds, remove) =>
          write(
            () => forget(digests),
            () => catalog.upkeep.marks.delete(digests, seconds, remove),
          ),
      },
    },
  }
}
