import type { Digest } from '../image/digest.ts'

/** Receives changes of the catalog by other processes. The functions must not throw. */
export type ChangeEars = {
  /** These blobs, and the layers in them, may no longer be known. */
  readonly blobs: (digests: readonly Digest[]) => void
  /** Changes may have been missed, so nothing in memory about blobs is reliable. */
  readonly missed: () => void
}

/** Subscribes to changes. */
export type SubscribeToChanges = (ears: ChangeEars) => void
