import { LRUCache } from 'lru-cache'
import type { Digest } from '../image/digest.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import type { SubscribeToChanges } from './changes.ts'
import type { Catalog, ImageKey, KnownLayer, LayerKey, Parse, ResolutionKey } from './catalog.ts'
import { valueOf } from './rows.ts'

/** The approximate maximum size in memory of each kind of fact, in bytes. */
const most = { resolutions: 16e6, paths: 64e6, layers: 24e6, images: 32e6, blobs: 16e6 }

// Milliseconds for which a blob is assumed to exist if other processes can delete it, because notifications may be
// lost. Shorter than the time between marking and deleting a blob, because looking it up removes the mark.
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
 * Puts an in-memory cache in front of a catalog. Written facts are in the cache even if the catalog could not store
 * them.
 * @param subscribe reports changes by other processes, if there are others
 * @param ttl milliseconds for which blobs are then assumed to exist
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
    onInsert({ digest }, key) {
      layersIn.set(digest, (layersIn.get(digest) ?? new Set()).add(key))
    },
  })
  const forget = (digests: readonly Digest[]) => {
    for (const digest of digests) {
      blobs.delete(digest)
      for (const key of layersIn.get(digest) ?? []) layers.delete(key)
    }
  }

  // A row that was read while it was written or removed may be out of date.
  let pending = 0
  let writes = 0
  const writing = async (work: Promise<void>) => {
    pending += 1
    writes += 1
    try {
      await work
    } finally {
      pending -= 1
    }
  }
  const noWriteSince = (before: number) => pending === 0 && writes === before
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
  /** Reads from memory, and the rest from the catalog. */
  const readAll = async <K extends string, V extends object | string>(
    keys: readonly K[],
    cache: LRUCache<K, V>,
    look: (missing: readonly K[]) => Promise<Map<K, V>>,
  ): Promise<Map<K, V>> => {
    const found = new Map<K, V>()
    const missing: K[] = []
    for (const key of keys) {
      const value = cache.get(key)
      if (value === undefined) missing.push(key)
      else found.set(key, value)
    }
    if (missing.length === 0) return found
    const before = writes
    const looked = await look(missing)
    const isCurrent = noWriteSince(before)
    for (const [key, value] of looked) {
      found.set(key, value)
      if (isCurrent) cache.set(key, value)
    }
    return found
  }

  return {
    ...catalog,
    async resolutions(keys, parse) {
      const found = await readAll(keys, resolutions, (missing) => catalog.resolutions(missing, asText))
      return parsed(found, parse)
    },
    rememberResolutions(fresh, revision) {
      for (const [key, value] of fresh) resolutions.set(key, JSON.stringify(value))
      return writing(catalog.rememberResolutions(fresh, revision))
    },
    pathFacts: (wanted) => readAll(wanted, paths, catalog.pathFacts),
    rememberPathFacts(facts) {
      for (const one of facts) paths.set(one.storePath, one)
      return writing(catalog.rememberPathFacts(facts))
    },
    rememberListings(listed) {
      for (const { facts } of listed) paths.set(facts.storePath, facts)
      return writing(catalog.rememberListings(listed))
    },
    layer: async (key) => (await readAll([key], layers, catalog.layers)).get(key),
    layers: (keys) => readAll(keys, layers, catalog.layers),
    rememberLayer(key, layer, members) {
      layers.set(key, layer)
      return writing(catalog.rememberLayer(key, layer, members))
    },
    async image(key, parse) {
      let text = images.get(key)
      if (text === undefined) {
        const before = writes
        text = await catalog.image(key, asText)
        if (text === undefined) return undefined
        if (noWriteSince(before)) images.set(key, text)
      }
      return valueOf(text, parse)
    },
    rememberImage(key, image, madeAt) {
      images.set(key, JSON.stringify(image))
      return writing(catalog.rememberImage(key, image, madeAt))
    },
    async blobSize(digest) {
      const known = blobs.get(digest)
      if (known !== undefined) return known
      const before = writes
      const size = await catalog.blobSize(digest)
      if (size !== undefined && noWriteSince(before)) blobs.set(digest, size)
      return size
    },
    rememberBlob(digest, size, mark) {
      blobs.set(digest, size)
      return writing(catalog.rememberBlob(digest, size, mark))
    },
    forgetBlob(digest) {
      forget([digest])
      return writing(catalog.forgetBlob(digest))
    },
    upkeep: {
      ...catalog.upkeep,
      forgetImages(keys, since) {
        for (const key of keys) images.delete(key)
        return writing(catalog.upkeep.forgetImages(keys, since))
      },
      withdrawBlobs(digests) {
        forget(digests)
        return writing(catalog.upkeep.withdrawBlobs(digests))
      },
      forgetBlobs(digests) {
        forget(digests)
        return writing(catalog.upkeep.forgetBlobs(digests))
      },
      marks: {
        ...catalog.upkeep.marks,
        add(all) {
          forget(all.map(({ digest }) => digest))
          return writing(catalog.upkeep.marks.add(all))
        },
        delete(digests, seconds, remove) {
          forget(digests)
          return writing(catalog.upkeep.marks.delete(digests, seconds, remove))
        },
      },
    },
  }
}
