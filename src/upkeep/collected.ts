import { batchesOf } from '../catalog/batches.ts'
import type { CatalogUpkeep, ImageName } from '../catalog/catalog.ts'
import type { Decision } from './decide.ts'
import type { Forgotten } from './forget.ts'
import type { Reasons } from './reasons.ts'
import type { Survey } from './survey.ts'

/** What went, or would go. Sizes in bytes, times in seconds since 1970. */
export type Collected = {
  /** The images that go, those first that were not used for longest. */
  readonly images: readonly GoneImage[]
  readonly imagesKept: number
  readonly blobs: { readonly count: number; readonly size: number }
  readonly blobsKept: { readonly count: number; readonly size: number }
  /** Why the images and blobs stay that do. */
  readonly reasons: Reasons
  /** Files of builds that were interrupted. */
  readonly leftovers: number
  /** Rows of the catalog that were not used for a long time. */
  readonly forgotten: Forgotten
}
export type GoneImage = {
  /** Under which it was pulled; none if it never was. */
  readonly names: readonly ImageName[]
  readonly lastUsed: number
  /** Bytes of all that it consists of, also of what other images need. */
  readonly size: number
}

const imagesAtOnce = 100

/** A root if it is an image. */
const imageAt = (root: Survey['roots'][number] | undefined) =>
  root?.key === undefined ? [] : [{ ...root, key: root.key }]

/** What goes and what stays. Only images have heads; what else goes shows in the count of blobs. */
export async function describe(
  upkeep: Pick<CatalogUpkeep, 'names'>,
  { blobs, roots }: Survey,
  going: Decision,
): Promise<Omit<Collected, 'leftovers' | 'reasons' | 'forgotten'>> {
  const sizeOf = (places: Iterable<number>) => {
    let size = 0
    for (const place of places) size += blobs[place]?.size ?? 0
    return size
  }
  const gone = going.roots.flatMap((place) => imageAt(roots[place]))
  const images: GoneImage[] = []
  for (const batch of batchesOf(gone, imagesAtOnce)) {
    const names = await upkeep.names(batch.map(({ key }) => key))
    for (const { key, at, parts } of batch) {
      images.push({ names: names.get(key) ?? [], lastUsed: Math.floor(at), size: sizeOf(parts) })
    }
  }
  const size = sizeOf(going.blobs)
  const all = sizeOf(blobs.keys())
  return {
    images,
    imagesKept: roots.flatMap(imageAt).length - images.length,
    blobs: { count: going.blobs.length, size },
    blobsKept: { count: blobs.length - going.blobs.length, size: all - size },
  }
}
