import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { LRUCache } from 'lru-cache'
import type { Catalog } from '../catalog/catalog.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import type { Hasher } from '../store/hasher.ts'
import type { Blob, BlobStore, ByteRange } from '../store/store.ts'
import { createFlights } from './single-flight.ts'
import { createTrust } from './trust.ts'
import { unlessAway } from './unless-away.ts'

/** The verified blobs of the store: those whose hash was checked, according to the catalog, and whose size matches. */
export type Blobs = {
  /** The size in bytes of a verified blob; undefined if there is none. */
  find(digest: Digest): Promise<number | undefined>
  /** Stores a spooled file, which is moved or removed, or bytes. */
  publish(blob: Blob, content: { file: string } | { bytes: Uint8Array }): Promise<void>
  /**
   * Reads a small blob, such as a manifest, and verifies its hash. Undefined if there is none. What was read before is used
   * while the store does not respond.
   */
  readSmall(digest: Digest, limit: number): Promise<Buffer | undefined>
  /** The same, if it is in memory, without a check. */
  smallInMemory(digest: Digest): Buffer | undefined
  /** Reads a blob or a range of it from the store. Fails with BLOB_UNKNOWN if it does not exist. */
  read(digest: Digest, range?: ByteRange): Promise<Readable>
  /** The local file of the blob, if the store has local files. */
  file(digest: Digest): string | undefined
  readonly spoolDirectory: string
  /** Called when a blob turned out to be damaged: it is hashed before it is used again. */
  doubt(digest: Digest): Promise<void>
  /** Incremented when a blob is found missing or damaged, so that earlier checks must be repeated. */
  readonly losses: number
}

export type BlobsDeps = {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly hasher: Hasher
  /** For how many milliseconds a small blob is kept in memory, because another process can remove it. */
  readonly smallTtl?: number
  /** Wraps each lookup and storing of a blob, and marks it as in use, so that it is not removed. */
  readonly take?:
    | (<T>(digest: Digest, look: () => Promise<T | undefined>) => Promise<T | undefined>)
    | undefined
}

// How long the hash of an unchanged file is trusted, in seconds.
const trusted = 24 * 3_600
// How long a blob in a bucket is assumed to exist (ms); files are checked each time.
const seenTtl = 60_000
// The memory for small blobs in bytes.
const smallBytes = 64 * 1024 * 1024

/**
 * Hashes a blob before it is used if the catalog does not know it (because the catalog was emptied, or the original stored
 * the blob) or if its file has changed. Concurrent callers share one read, and the blob is never in memory as a whole. A
 * damaged blob is removed, so that the next pull builds it again.
 */
export function createBlobs(deps: BlobsDeps): Blobs {
  const { store, catalog, hasher, smallTtl = 10_000, take = (_digest, look) => look() } = deps
  const trust = createTrust({ store, hasher, catalog }, trusted)
  const checks = createFlights<number | undefined>()
  const small = new LRUCache<Digest, Buffer>({
    maxSize: smallBytes,
    ttl: smallTtl,
    ttlResolution: Math.min(100, smallTtl),
    // Is used while the store is away.
    noDeleteOnStaleGet: true,
    sizeCalculation: (bytes) => bytes.length,
  })
  const seen = new LRUCache<Digest, number>({ max: 100_000, ttl: seenTtl })
  let losses = 0

  const forget = async (digest: Digest) => {
    losses += 1
    seen.delete(digest)
    await catalog.forgetBlob(digest)
    return undefined
  }
  const discard = async (digest: Digest) => {
    await forget(digest)
    await store.delete(digest)
    return undefined
  }
  const remember = async (digest: Digest, size: number) => {
    await catalog.rememberBlob(digest, size, await trust.vouch(digest))
  }
  const check = async (digest: Digest, size: number) => {
    const content = await hasher.hash(digest)
    if (!content) return undefined // it has been removed
    // An incomplete read says nothing about the blob, so the blob is not removed.
    if (content.size !== size)
      throw new NixeryError('STORE_UNAVAILABLE', `read ${content.size} bytes of a blob of ${size} bytes`)
    if (content.digest !== digest) return discard(digest)
    await remember(digest, size)
    return size
  }
  const look = async (digest: Digest): Promise<number | undefined> => {
    const [size, known] = await Promise.all([store.stat(digest), catalog.blobSize(digest)])
    if (size === undefined) return known === undefined ? undefined : forget(digest)
    if (known !== size) return checks.run(digest, () => check(digest, size))
    return (await trust.trust(digest)) ? size : discard(digest)
  }

  const readSmall = async (digest: Digest, limit: number): Promise<Buffer | undefined> => {
    const size = await blobs.find(digest)
    if (size === undefined) {
      small.delete(digest)
      return undefined
    }
    if (size > limit) throw new NixeryError('MANIFEST_UNKNOWN', 'too large to be a manifest')
    try {
      const bytes = await buffer(await store.read(digest))
      if (digestOf(bytes) !== digest) return await discard(digest)
      small.set(digest, bytes)
      return bytes
    } catch (error) {
      if (!hasCode(error, 'BLOB_UNKNOWN')) throw error
      small.delete(digest)
      return forget(digest)
    }
  }

  const blobs: Blobs = {
    find: (digest) =>
      take(digest, async () => {
        const size = seen.get(digest) ?? (await look(digest))
        if (size !== undefined && !store.file) seen.set(digest, size)
        return size
      }),

    async publish(blob, content) {
      await take(blob.digest, async () => {
        // A cleanup of another machine that is just deleting it ends first, or leaves it alone.
        await catalog.blobSize(blob.digest)
        await ('file' in content ? store.putFile(blob, content.file) : store.putBytes(blob, content.bytes))
        await remember(blob.digest, blob.size)
        return true
      })
    },

    smallInMemory: (digest) => small.get(digest),

    async readSmall(digest, limit) {
      const held = small.get(digest)
      if (held) return held
      const old = small.get(digest, { allowStale: true })
      if (!old) return readSmall(digest, limit)
      const found = await unlessAway(readSmall(digest, limit))
      if (found) return found.value
      small.set(digest, old)
      return old
    },

    async read(digest, range) {
      try {
        return await store.read(digest, range)
      } catch (error) {
        if (hasCode(error, 'BLOB_UNKNOWN')) await forget(digest)
        throw error
      }
    },
    file: (digest) => store.file?.(digest),
    spoolDirectory: store.spoolDirectory,
    async doubt(digest) {
      small.delete(digest)
      await forget(digest)
    },
    get losses() {
      return losses
    },
  }
  return blobs
}
