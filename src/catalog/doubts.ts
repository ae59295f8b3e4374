import type { Digest } from '../image/digest.ts'
import type { StorePath } from '../image/store-path.ts'

/**
 * Rows that could not be removed or replaced because the database failed. They are ignored until that has been done.
 */
export type Doubts = { readonly blobs: Set<Digest>; readonly paths: Set<StorePath> }

/** What can be in doubt. */
export type Doubtful = { readonly blobs?: readonly Digest[]; readonly paths?: readonly StorePath[] }

export const noDoubts = (): Doubts => ({ blobs: new Set(), paths: new Set() })

export const countDoubts = ({ blobs, paths }: Doubts): number => blobs.size + paths.size

export function addDoubts(doubts: Doubts, { blobs = [], paths = [] }: Doubtful): void {
  for (const digest of blobs) doubts.blobs.add(digest)
  for (const path of paths) doubts.paths.add(path)
}

export function removeDoubts(doubts: Doubts, { blobs = [], paths = [] }: Doubtful): void {
  for (const digest of blobs) doubts.blobs.delete(digest)
  for (const path of paths) doubts.paths.delete(path)
}
