import type { Digest } from '../image/digest.ts'

/** What a process is told of changes that others make to the catalog. Neither may throw. */
export type ChangeEars = {
  /** These blobs, and layers in them, are not to be taken for known any more. */
  readonly blobs: (digests: readonly Digest[]) => void
  /** Something may have been missed, so nothing in memory about blobs is to be believed. */
  readonly missed: () => void
}

/** Begins to tell of changes. */
export type SubscribeToChanges = (ears: ChangeEars) => void
