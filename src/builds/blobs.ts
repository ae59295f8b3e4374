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

/** The store's blobs as far as they can be believed: what the catalog knows was hashed, at its full size. */
export type Blobs = {
  /** The size in bytes of a blob that is whole; undefined if there is none. */
  find(digest: Digest): Promise<number | undefined>
  /** Stores a spooled file or bytes, and takes the file. */
  publish(blob: Blob, content: { file: string } | { bytes: Uint8Array }): Promise<void>
  /** A small blob, such as a manifest, with its hash checked. Undefined if there is none. */
  readSmall(digest: Digest, limit: number): Promise<Buffer | undefined>
  /** The same, if it is in memory: without a look. */
  smallInMemory(digest: Digest): Buffer | undefined
  /** The blob's bytes, or a range of them, as the store has them. Fails with BLOB_UNKNOWN when it is not there. */
  read(digest: Digest, range?: ByteRange): Promise<Readable>
  /** The blob as a file of this machine, if the store has such. */
  file(digest: Digest): string | undefined
  readonly spoolDirectory: string
  /** What was read from it was wrong: it is hashed before it is believed again. */
  doubt(digest: Digest): Promise<void>
  /** Rises whenever a blob turns out to be missing or damaged: what was concluded before is to be looked at again. */
  readonly losses: number
}

export type BlobsDeps = {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly hasher: Hasher
  /** Runs each look for a blob, and each storing of one: what is found or stored is in use, and not to be removed. */
  readonly take?:
    | (<T>(digest: Digest, look: () => Promise<T | undefined>) => Promise<T | undefined>)
    | undefined
}

// Seconds for which a file that was hashed is believed, if it has not changed.
const trusted = 24 * 3_600
// A bucket is asked again after so long (ms) whether it has a blob; a file is looked at each time.
const believed = 60_000
// Manifests that are held in memory (bytes), and for how long (ms): another process may clean up.
const smallBelieved = 10_000
const smallBytes = 64 * 1024 * 1024

/**
 * A blob that the catalog does not know (an emptied catalog, a blob of the original's), or whose file has changed since
 * it was hashed, is hashed before it is believed: read once, however many ask meanwhile, and never held in memory. One
 * that is damaged is removed, so that the next pull makes it again.
 */
export function createBlobs({ store, catalog, hasher, take = (_digest, look) => look() }: BlobsDeps): Blobs {
  const trust = createTrust({ store, hasher, catalog }, trusted)
  const checks = createFlights<number | undefined>()
  const small = new LRUCache<Digest, Buffer>({
    maxSize: smallBytes,
    ttl: smallBelieved,
    ttlResolution: 100,
    sizeCalculation: (bytes) => bytes.length,
  })
  const seen = new LRUCache<Digest, number>({ max: 100_000, ttl: believed })
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
    await catalog.rememberBlob(digest, size)
    await trust.vouch(digest)
  }
  const check = async (digest: Digest, size: number) => {
    const content = await hasher.hash(digest)
    if (!content) return undefined // removed meanwhile
    // A blob that was not read whole says nothing of its bytes, and is not to be removed for it.
    if (content.size !== size)
      throw new NixeryError('STORE_UNAVAILABLE', `a blob of ${size} bytes gave ${content.size}`)
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

  const blobs: Blobs = {
    find: (digest) =>
      take(digest, async () => {
        const size = seen.get(digest) ?? (await look(digest))
        if (size !== undefined && !store.file) seen.set(digest, size)
        return size
      }),

    async publish(blob, content) {
      await take(blob.digest, async () => {
        await ('file' in content ? store.putFile(blob, content.file) : store.putBytes(blob, content.bytes))
        await remember(blob.digest, blob.size)
        return true
      })
    },

    smallInMemory: (digest) => small.get(digest),

    async readSmall(digest, limit) {
      const held = small.get(digest)
      if (held) return held
      const size = await blobs.find(digest)
      if (size === undefined) return undefined
      if (size > limit) throw new NixeryError('MANIFEST_UNKNOWN', 'too large to be a manifest')
      try {
        const bytes = await buffer(await store.read(digest))
        if (digestOf(bytes) !== digest) return await discard(digest)
        small.set(digest, bytes)
        return bytes
      } catch (error) {
        if (hasCode(error, 'BLOB_UNKNOWN')) return forget(digest)
        throw error
      }
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
