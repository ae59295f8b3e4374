import { setImmediate as breathe } from 'node:timers/promises'
import pLimit from 'p-limit'
import type { BlobRecord, Catalog, ImageKey, Page } from '../catalog/catalog.ts'
import type { Digest } from '../image/digest.ts'
import type { BlobStore, StoredBlob } from '../store/store.ts'
import type { Index, Root } from './decide.ts'
import { parseParts, recognise, type FoundImage, type ImageParts, type IndexParts } from './records.ts'

/** The blobs and images in store and catalog, as input for `decide`. */
export type Survey = {
  readonly blobs: readonly StoredBlob[]
  /** Images with their keys in the catalog, search indexes, and unknown blobs. */
  readonly roots: readonly (Root & { readonly key: ImageKey | undefined })[]
  /** Indexes with their keys in the catalog. */
  readonly indexes: readonly (Index & { readonly key: ImageKey })[]
  /** Keys of indexes in the catalog that are missing in the store. */
  readonly lost: readonly ImageKey[]
  /** The indexes of blobs in `blobs` that are marked: see `BlobMarks`. */
  readonly marked: ReadonlySet<number>
  /** Blobs that an interrupted collection has deleted from the store, but not from the catalog. */
  readonly deleted: readonly Digest[]
  /** The indexes of blobs in `blobs`, by digest. */
  readonly places: ReadonlyMap<Digest, number>
  /** Manifests and indexes in the store that the catalog does not know. */
  readonly found: readonly (FoundImage & { readonly at: number })[]
}

export type SurveyDeps = {
  readonly catalog: Pick<Catalog, 'upkeep' | 'searchIndexes'>
  readonly store: BlobStore
  readonly signal?: AbortSignal | undefined
}

// An image is a few kilobytes of JSON, so a page is parsed in a few milliseconds.
const imagesAtOnce = 25
const blobsAtOnce = 1_000
const readsAtOnce = 4

/**
 * Lists everything in the store and the catalog, in small steps, so that a server stays responsive.
 * @param isUsed whether a blob is in use
 * @param now seconds since 1970
 * @throws STORE_UNAVAILABLE, also when the catalog fails: without its data nothing may be removed
 */
export async function survey(
  { catalog, store, signal }: SurveyDeps,
  isUsed: (digest: Digest) => boolean,
  now: number,
): Promise<Survey> {
  const { upkeep } = catalog
  const born = await upkeep.born()
  const blobs: StoredBlob[] = []
  const places = new Map<Digest, number>()
  for await (const blob of store.list()) {
    signal?.throwIfAborted()
    places.set(blob.digest, blobs.length)
    blobs.push(blob)
  }
  const placesOf = (digests: readonly Digest[]) => {
    const stored: number[] = []
    for (const digest of digests) {
      const place = places.get(digest)
      if (place !== undefined) stored.push(place)
    }
    return stored
  }

  const deleted: Digest[] = []
  const marked = new Set<number>()
  const unneeded = new Set<number>()
  const known = new Uint8Array(blobs.length)
  const usedAt = new Float64Array(blobs.length)
  for await (const blob of pages<BlobRecord, Digest>(
    blobsAtOnce,
    (page) => upkeep.blobs(page),
    (one) => one.digest,
  )) {
    signal?.throwIfAborted()
    const place = places.get(blob.digest)
    if (place === undefined && blob.withdrawn) deleted.push(blob.digest)
    if (place === undefined) continue
    if (blob.markedAt !== undefined) {
      marked.add(place)
      // Of an image that was already removed, unless it was served since.
      if ((blob.usedAt ?? 0) < blob.markedAt) unneeded.add(place)
    }
    known[place] = 1
    usedAt[place] = blob.usedAt ?? 0
  }
  for (const [place, { digest }] of blobs.entries()) if (isUsed(digest)) usedAt[place] = now

  type Image = ImageParts & { readonly key: ImageKey; readonly at: number }
  type IndexedImage = {
    readonly key: ImageKey
    readonly at: number
    readonly heads: number
    readonly parts: Uint32Array
  }
  const images: IndexedImage[] = []
  const lists: (IndexParts & { readonly key: ImageKey })[] = []
  const referred = new Uint8Array(blobs.length)
  // The last use of the images that this version cannot read.
  let unreadAt = 0
  const addImage = ({ key, at, manifests, others }: Image) => {
    const heads = placesOf(manifests)
    const parts = Uint32Array.from(new Set([...heads, ...placesOf(others)]))
    for (const part of parts) referred[part] = 1
    images.push({ key, at, heads: new Set(heads).size, parts })
  }
  const add = (key: ImageKey, parts: ImageParts | IndexParts, at: number) => {
    if ('manifests' in parts) return addImage({ ...parts, key, at })
    lists.push({ ...parts, key })
    for (const place of placesOf([parts.index])) referred[place] = 1
  }
  for await (const record of pages(
    imagesAtOnce,
    (page: Page<ImageKey>) => upkeep.images(page, parseParts),
    (one) => one.key,
  )) {
    signal?.throwIfAborted()
    const at = Math.max(record.madeAt, record.pulledAt ?? 0)
    const parts = record.image
    add(record.key, parts ?? { manifests: [], others: [] }, at)
    if (!parts) unreadAt = Math.max(unreadAt, at)
  }

  // Search indexes are deleted when they are no longer in the catalog.
  const indexed = placesOf(await catalog.searchIndexes.digests())
  for (const place of indexed) referred[place] = 1

  // Unreferenced blobs can be manifests.
  const limit = pLimit(readsAtOnce)
  const recognised = await limit.map(
    blobs.filter((_, place) => referred[place] === 0 && !unneeded.has(place)),
    async (blob) => {
      signal?.throwIfAborted()
      const image = await recognise(store, blob)
      // The catalog does not know pulls before its creation. And this can be any of the images that it cannot read.
      return image && { ...image, at: Math.floor(Math.max(blob.modified, born, unreadAt)) }
    },
  )
  const found = recognised.filter((one) => one !== undefined)
  for (const { key, parts, at } of found) add(key, parts, at)

  // A client that pulled an index requests its manifests next.
  const lost: ImageKey[] = []
  const indexes = lists.flatMap(({ key, index, lists: digests }) => {
    const blob = places.get(index)
    if (blob === undefined) {
      lost.push(key)
      return []
    }
    const manifests = digests.map((digest) => places.get(digest))
    for (const manifest of manifests) {
      if (manifest !== undefined) usedAt[manifest] = Math.max(usedAt[manifest] ?? 0, usedAt[blob] ?? 0)
    }
    return [{ key, blob, manifests }]
  })
  const roots: Survey['roots'][number][] = images.map(({ key, at, heads, parts }) => {
    let last = at
    for (const head of parts.subarray(0, heads)) {
      last = Math.max(last, usedAt[head] ?? 0, blobs[head]?.modified ?? 0)
    }
    return { key, at: last, parts, heads }
  })
  for (const place of indexed) {
    roots.push({ key: undefined, at: Infinity, parts: Uint32Array.of(place), heads: 0 })
  }
  for (const [place, { modified }] of blobs.entries()) {
    if (referred[place] === 1 || known[place] === 1) continue
    roots.push({ key: undefined, at: modified, parts: Uint32Array.of(place), heads: 0 })
  }
  return { blobs, roots, indexes, lost, deleted, marked, places, found }
}

/** Yields all items of a paginated list, and yields to other work between pages. */
async function* pages<T, K extends string>(
  limit: number,
  get: (page: Page<K>) => Promise<readonly T[]>,
  keyOfItem: (item: T) => K,
): AsyncGenerator<T> {
  let after: K | undefined
  for (;;) {
    const page = await get({ ...(after !== undefined && { after }), limit })
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = keyOfItem(last)
    await breathe()
  }
}
