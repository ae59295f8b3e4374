import type { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { LRUCache } from 'lru-cache'
import pLimit from 'p-limit'
import type { Catalog } from '../catalog/catalog.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { digestOf, digester, type Digest } from '../image/digest.ts'
import type { Blob, BlobStore, ByteRange } from '../store/store.ts'
import { createFlights } from './single-flight.ts'

/** The store's blobs as far as they can be believed: what the catalog knows was hashed, at its full size. */
export type Blobs = {
  /** The size in bytes of a blob that is whole; undefined if there is none. */
  find(digest: Digest): Promise<number | undefined>
  /** Stores a spooled file or bytes, and takes the file. */
  publish(blob: Blob, content: { file: string } | { bytes: Uint8Array }): Promise<void>
  /** A small blob, such as a manifest, with its hash checked. Undefined if there is none. */
  readSmall(digest: Digest, limit: number): Promise<Buffer | undefined>
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

// Blobs that are hashed at once; what comes from a bucket comes over the network.
const checksAtOnce = 4
// A bucket is asked again after so long (ms) whether it has a blob; a file is looked at each time.
const believed = 60_000
// Manifests that are held in memory (bytes).
const smallBytes = 64 * 1024 * 1024

/**
 * A blob that the catalog does not know (an emptied catalog, a blob of the original's) is hashed before it is
 * believed: read once, however many ask meanwhile, and never held in memory. One that is damaged is removed, so
 * that the next pull makes it again.
 */
export function createBlobs(store: BlobStore, catalog: Catalog): Blobs {
  const checks = createFlights<number | undefined>()
  const checking = pLimit(checksAtOnce)

  const small = new LRUCache<Digest, Buffer>({
    maxSize: smallBytes,
    sizeCalculation: (bytes) => bytes.length,
  })
  const seen = new LRUCache<Digest, number>({ max: 100_000, ttl: store.file ? 0 : believed })
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
  const check = async (digest: Digest, size: number) => {
    const hash = digester()
    let length = 0
    try {
      for await (const chunk of (await store.read(digest)) as AsyncIterable<Buffer>) {
        hash.update(chunk)
        length += chunk.length
      }
    } catch (error) {
      if (hasCode(error, 'BLOB_UNKNOWN')) return undefined // removed meanwhile
      throw error
    }
    // A blob that was not read whole says nothing of its bytes, and is not to be removed for it.
    if (length !== size) throw new NixeryError('STORE_UNAVAILABLE', `a blob of ${size} bytes gave ${length}`)
    if (hash.digest() !== digest) return discard(digest)
    await catalog.rememberBlob(digest, size)
    return size
  }

  const blobs: Blobs = {
    async find(digest) {
      const recently = store.file ? undefined : seen.get(digest)
      if (recently !== undefined) return recently
      const [size, known] = await Promise.all([store.stat(digest), catalog.blobSize(digest)])
      if (size === undefined) return known === undefined ? undefined : forget(digest)
      if (known !== undefined && size !== known) return discard(digest)
      const whole = known ?? (await checks.run(digest, () => checking(() => check(digest, size))))
      if (whole !== undefined && !store.file) seen.set(digest, whole)
      return whole
    },

    async publish(blob, content) {
      await ('file' in content ? store.putFile(blob, content.file) : store.putBytes(blob, content.bytes))
      await catalog.rememberBlob(blob.digest, blob.size)
    },

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
