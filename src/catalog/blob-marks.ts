import type { Digest } from '../image/digest.ts'

/**
 * Deleting blobs that several machines use, each of which has a memory: they are marked first, and deleted long after.
 * Whoever looks up a marked blob takes the mark off, so none is deleted that anybody has found.
 */
export type BlobMarks = {
  /** Marks blobs that are to be deleted, also ones that were not known. Those that are marked stay as they are. */
  add(blobs: readonly { readonly digest: Digest; readonly size: number }[]): Promise<void>
  remove(digests: readonly Digest[]): Promise<void>
  /**
   * Deletes those of these blobs that have been marked for some seconds, and forgets them with what is in them. While
   * `remove` runs for one, who looks it up waits.
   * @param remove deletes a blob from the store; if it returns false, the blob stays as it is
   */
  delete(
    digests: readonly Digest[],
    seconds: number,
    remove: (digest: Digest) => Promise<boolean>,
  ): Promise<void>
}
