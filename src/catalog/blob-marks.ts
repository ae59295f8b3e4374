import type { Digest } from '../image/digest.ts'

/**
 * Deletes blobs that several machines use, each with an in-memory cache: blobs are marked first, and deleted much
 * later. Looking up a marked blob removes the mark, so no blob is deleted after a lookup has found it.
 */
export type BlobMarks = {
  /** Marks blobs for deletion, including unknown ones. Existing marks are not changed. */
  add(blobs: readonly { readonly digest: Digest; readonly size: number }[]): Promise<void>
  remove(digests: readonly Digest[]): Promise<void>
  /**
   * Deletes the blobs that have been marked for a number of seconds, with the layers and members in them. While
   * `remove` runs for a blob, lookups of it wait.
   * @param remove deletes a blob from the store; if it returns false, the blob is not changed
   */
  delete(
    digests: readonly Digest[],
    seconds: number,
    remove: (digest: Digest) => Promise<boolean>,
  ): Promise<void>
}
