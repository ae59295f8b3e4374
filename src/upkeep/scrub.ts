import pLimit from 'p-limit'
import type { Catalog } from '../catalog/catalog.ts'
import type { Digest } from '../image/digest.ts'
import type { Content, Hasher } from '../store/hasher.ts'
import type { BlobStore, StoredBlob } from '../store/store.ts'

export type ScrubDeps = {
  readonly catalog: Pick<Catalog, 'forgetBlob'>
  readonly store: BlobStore
  readonly hasher: Hasher
}

export type ScrubOptions = {
  /** Report damaged blobs, but keep them. */
  readonly dryRun: boolean
  readonly signal?: AbortSignal | undefined
  /** Called with the number of bytes read so far, and in total. */
  readonly progress?: ((done: number, total: number) => void) | undefined
}

/** A blob with another digest than its name; sizes are in bytes. */
export type DamagedBlob = { readonly digest: Digest; readonly size: number; readonly found: Content }

export type Scrubbed = {
  readonly checked: number
  readonly size: number
  readonly damaged: readonly DamagedBlob[]
}

const blobsAtOnce = 4

/**
 * Reads and hashes all blobs. Damaged ones are removed from store and catalog, so that the next pull builds them again.
 * @throws STORE_UNAVAILABLE, and the signal's reason
 */
export async function scrub(
  { catalog, store, hasher }: ScrubDeps,
  { dryRun, signal, progress }: ScrubOptions,
): Promise<Scrubbed> {
  const blobs: StoredBlob[] = []
  for await (const blob of store.list()) {
    signal?.throwIfAborted()
    blobs.push(blob)
  }
  const total = blobs.reduce((sum, { size }) => sum + size, 0)
  let done = 0
  let checked = 0

  const limit = pLimit(blobsAtOnce)
  const damaged = await limit.map(blobs, async ({ digest, size }): Promise<DamagedBlob | undefined> => {
    signal?.throwIfAborted()
    const first = await hasher.hash(digest)
    done += size
    progress?.(done, total)
    if (!first) return undefined // it has been removed
    checked += 1
    if (first.digest === digest) return undefined
    // Hash it again, because it may have just been replaced.
    const actual = await hasher.hash(digest)
    if (!actual || actual.digest === digest) return undefined
    if (!dryRun) {
      await catalog.forgetBlob(digest)
      await store.delete(digest)
    }
    return { digest, size, found: actual }
  })
  return { checked, size: done, damaged: damaged.filter((one) => one !== undefined) }
}
