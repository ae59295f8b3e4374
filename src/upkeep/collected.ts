import { batchesOf } from '../catalog/batches.ts'
import type { CatalogUpkeep, ImageName } from '../catalog/catalog.ts'
import type { Decision } from './decide.ts'
import type { Forgotten } from './forget.ts'
import type { Reasons } from './reasons.ts'
import type { Survey } from './survey.ts'

/** What was removed, or would be. Sizes are in bytes, times in seconds since 1970. */
export type Collected = {
  /** The removed images, least recently used first; the first ones only, with `CollectOptions.listed`. */
  readonly images: readonly RemovedImage[]
  readonly imagesRemoved: number
  readonly imagesKept: number
  readonly blobs: { readonly count: number; readonly size: number }
  /** Blobs that are not needed, and will be deleted by a later collection (`CollectOptions.delay`). */
  readonly marked: number
  readonly blobsKept: { readonly count: number; readonly size: number }
  /** Why the other images and blobs were kept. */
  readonly reasons: Reasons
  /** The number of files of interrupted builds. */
  readonly leftovers: number
  /** Unused rows of the catalog. */
  readonly forgotten: Forgotten
}
export type RemovedImage = {
  /** The names under which it was pulled, if it ever was. */
  readonly names: readonly ImageName[]
  readonly lastUsed: number
  /** The size of all its blobs, including those that other images share. */
  readonly size: number
}

const imagesAtOnce = 100

/** The root, if it is an image. */
const imageAt = (root: Survey['roots'][number] | undefined) =>
  root?.key === undefined ? [] : [{ ...root, key: root.key }]

/**
 * Describes what is removed and what is kept. Other roots than images are only in the counts of blobs.
 * @param listed how many of the removed images are described
 */
export async function describe(
  upkeep: Pick<CatalogUpkeep, 'names'>,
  { blobs, roots }: Survey,
  decision: Decision,
  listed = Infinity,
): Promise<Omit<Collected, 'leftovers' | 'reasons' | 'forgotten' | 'marked'>> {
  const sizeOf = (places: Iterable<number>) => {
    let size = 0
    for (const place of places) size += blobs[place]?.size ?? 0
    return size
  }
  const removed = decision.roots.flatMap((place) => imageAt(roots[place]))
  const images: RemovedImage[] = []
  for (const batch of batchesOf(removed.slice(0, listed), imagesAtOnce)) {
    const names = await upkeep.names(batch.map(({ key }) => key))
    for (const { key, at, parts } of batch) {
      images.push({ names: names.get(key) ?? [], lastUsed: Math.floor(at), size: sizeOf(parts) })
    }
  }
  const size = sizeOf(decision.blobs)
  const all = sizeOf(blobs.keys())
  return {
    images,
    imagesRemoved: removed.length,
    imagesKept: roots.flatMap(imageAt).length - removed.length,
    blobs: { count: decision.blobs.length, size },
    blobsKept: { count: blobs.length - decision.blobs.length, size: all - size },
  }
}
