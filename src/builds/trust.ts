import { stat } from 'node:fs/promises'
import { LRUCache } from 'lru-cache'
import type { Catalog } from '../catalog/catalog.ts'
import { systemErrorCode } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import type { Hasher } from '../store/hasher.ts'
import { storeError, type BlobStore } from '../store/store.ts'
import { createFlights } from './single-flight.ts'

/**
 * Which of the files that blobs lie in can be served as they are. A file was hashed, and has not changed since: it is
 * the same file, of the same size, last written and last renamed at the same time. So a change is seen by one look at
 * the file, without reading it. What rots on a disk without being written is found when the trust ends.
 */
export type Trust = {
  /**
   * Whether the blob's bytes have its digest; false also if it is not there. One that is not trusted yet is hashed
   * first, once however many ask. Blobs in a bucket are always trusted: nobody changes them but by storing them anew.
   * @throws STORE_UNAVAILABLE
   */
  trust(digest: Digest): Promise<boolean>
  /** Trusts a blob that was just stored, and remembered in the catalog, by who has hashed its bytes. */
  vouch(digest: Digest): Promise<void>
}

export type TrustDeps = {
  readonly store: Pick<BlobStore, 'file'>
  readonly hasher: Hasher
  /** Where marks are kept for the next process: without, each hashes for itself. */
  readonly catalog?: Pick<Catalog, 'blobMark' | 'rememberBlobMark'>
}

// 200 bytes each.
const most = 200_000

/** @param seconds for how long one hashing is trusted, also by processes that come later */
export function createTrust({ store, hasher, catalog }: TrustDeps, seconds: number): Trust {
  const marks = new LRUCache<Digest, string>({ max: most, ttl: seconds * 1000, ttlResolution: 1000 })
  const checks = createFlights<boolean>()

  const remember = async (digest: Digest, mark: string) => {
    marks.set(digest, mark)
    await catalog?.rememberBlobMark(digest, JSON.stringify([Math.floor(Date.now() / 1000), mark]))
  }
  /** Whether an earlier process has hashed the file, not too long ago. */
  const isKept = async (digest: Digest, mark: string): Promise<boolean> => {
    const kept = await catalog?.blobMark(digest)
    if (kept === undefined) return false
    const value: unknown = JSON.parse(kept)
    const [at, text] = Array.isArray(value) ? (value as unknown[]) : []
    const left = seconds - (Date.now() / 1000 - Number(at))
    // As of one that a later version wrote otherwise.
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
      // Another may have been stored in its place meanwhile.
      if ((await markOf(file)) !== mark) continue
      if (content.digest !== digest) return false
      await remember(digest, mark)
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
      if (mark !== undefined) await remember(digest, mark)
    },
  }
}

/** What changes when anything is written to a file, or another is put in its place. */
async function markOf(file: string): Promise<string | undefined> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true })
    return [ino, size, mtimeNs, ctimeNs].join(' ')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw storeError(error, 'looking for a blob')
  }
}
