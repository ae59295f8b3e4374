import { stat } from 'node:fs/promises'
import { LRUCache } from 'lru-cache'
import type { Catalog } from '../catalog/catalog.ts'
import { systemErrorCode } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import type { Hasher } from '../store/hasher.ts'
import { storeError, type BlobStore } from '../store/store.ts'
import { createFlights } from './single-flight.ts'

/**
 * Decides which blob files can be served without hashing them. A file is trusted if it was hashed and has not changed
 * since: inode, size, and the times of the last write and rename are the same. So one `stat` detects changes. Damage without
 * a write is detected when the trust expires.
 */
export type Trust = {
  /**
   * Whether the blob's bytes have its digest; false if it does not exist. An untrusted blob is hashed first, once for
   * concurrent callers. Blobs in a bucket are always trusted, because objects cannot change in place.
   * @throws STORE_UNAVAILABLE
   */
  trust(digest: Digest): Promise<boolean>
  /**
   * Trusts a blob that the caller has hashed and stored.
   * @returns the text by which later processes trust it, to be recorded in the catalog; undefined if there is none
   */
  vouch(digest: Digest): Promise<string | undefined>
}

export type TrustDeps = {
  readonly store: Pick<BlobStore, 'file'>
  readonly hasher: Hasher
  /** Where marks are stored for later processes; without it, each process hashes all blobs itself. */
  readonly catalog?: Pick<Catalog, 'blobMark' | 'rememberBlobMark'>
}

// 200 bytes each.
const maxMarks = 200_000

/** @param seconds how long a hash is trusted, also by later processes */
export function createTrust({ store, hasher, catalog }: TrustDeps, seconds: number): Trust {
  const marks = new LRUCache<Digest, string>({
    maxSize: maxMarks, // not `max`, which takes the memory of all marks at once
    sizeCalculation: () => 1,
    ttl: seconds * 1000,
    ttlResolution: 1000,
  })
  const checks = createFlights<boolean>()

  /** Trusts a file with this mark. Returns the text for the catalog. */
  const trustMark = (digest: Digest, mark: string): string => {
    marks.set(digest, mark)
    return JSON.stringify([Math.floor(Date.now() / 1000), mark])
  }
  /** Whether an earlier process has hashed the file recently. */
  const isKept = async (digest: Digest, mark: string): Promise<boolean> => {
    const kept = await catalog?.blobMark(digest)
    if (kept === undefined) return false
    const value: unknown = JSON.parse(kept)
    const [at, text] = Array.isArray(value) ? (value as unknown[]) : []
    const left = seconds - (Date.now() / 1000 - Number(at))
    // Also false for a mark in the format of a later version.
    if (text !== mark || !(left > 0)) return false
    marks.set(digest, mark, { ttl: left * 1000 })
    return true
  }
  const check = async (digest: Digest, file: string): Promise<boolean> => {
    for (;;) {
      const mark = await markOf(file)
      if (mark === undefined) return false
      if (await isKept(digest, mark)) return true
      const content = await hasher.hash(digest)
      if (!content) return false
      // The file may have been replaced during hashing.
      if ((await markOf(file)) !== mark) continue
      if (content.digest !== digest) return false
      const text = trustMark(digest, mark)
      await catalog?.rememberBlobMark(digest, text)
      return true
    }
  }

  return {
    async trust(digest) {
      const file = store.file?.(digest)
      if (file === undefined) return true
      const mark = await markOf(file)
      if (mark === undefined) return false
      return mark === marks.get(digest) || checks.run(digest, () => check(digest, file))
    },
    async vouch(digest) {
      const file = store.file?.(digest)
      const mark = file === undefined ? undefined : await markOf(file)
      return mark === undefined ? undefined : trustMark(digest, mark)
    },
  }
}

/** A text that changes whenever the file is written or replaced. */
async function markOf(file: string): Promise<string | undefined> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
    return [ino, size, mtimeNs, ctimeNs].join(' ')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw storeError(error, 'looking for a blob')
  }
}
