import type { Catalog } from '../catalog/catalog.ts'
import type { BlobStore } from '../store/store.ts'

// Seconds: other processes may be fetching an index that has just been replaced.
const replacedFor = 900
// Seconds without a process that makes the index of a set: the set, or the version of the program, is no longer used.
const unwantedFor = 7 * 86_400

/**
 * Deletes the search indexes that were replaced, or that no process uses any more. They are named in the catalog until they
 * are deleted, so this can be interrupted at any time.
 * @returns the number of deleted indexes
 * @throws STORE_UNAVAILABLE when the store or the catalog fails, and the signal's reason
 */
export async function deleteOldIndexes(
  {
    catalog,
    store,
  }: { readonly catalog: Pick<Catalog, 'searchIndexes' | 'upkeep'>; readonly store: BlobStore },
  signal?: AbortSignal,
): Promise<number> {
  const { searchIndexes, upkeep } = catalog
  const digests = await searchIndexes.unneeded(replacedFor, unwantedFor)
  for (const digest of digests) {
    signal?.throwIfAborted()
    await upkeep.withdrawBlobs([digest])
    await store.delete(digest)
    await upkeep.forgetBlobs([digest])
    await searchIndexes.forget([digest])
  }
  return digests.length
}
