import { buffer } from 'node:stream/consumers'
import pLimit from 'p-limit'
import type { Catalog } from '../catalog/catalog.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { digestOf, digester, type Digest } from '../image/digest.ts'
import type { Blob, BlobStore } from '../store/store.ts'
import { createFlights } from './single-flight.ts'

/** The store's blobs as far as they can be believed: what the catalog knows was hashed, at its full size. */
export type Blobs = {
  /** The size in bytes of a blob that is whole; undefined if there is none. */
  find(digest: Digest): Promise<number | undefined>
  /** Stores a spooled file or bytes, and takes the file. */
  publish(blob: Blob, content: { file: string } | { bytes: Uint8Array }): Promise<void>
  /** A small blob, such as a manifest, with its hash checked. Undefined if there is none. */
  readSmall(digest: Digest, limit: number): Promise<Buffer | undefined>
}

// Blobs that are hashed at once; what comes from a bucket comes over the network.
const checksAtOnce = 4

/**
 * A blob that the catalog does not know (an emptied catalog, a blob of the original's) is hashed before it is
 * believed: read once, however many ask meanwhile, and never held in memory. One that is damaged is removed, so
 * that the next pull makes it again.
 */
export function createBlobs(store: BlobStore, catalog: Catalog): Blobs {
  const checks = createFlights<number | undefined>()
  const checking = pLimit(checksAtOnce)

  const discard = async (digest: Digest) => {
    await catalog.forgetBlob(digest)
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
      const [size, known] = await Promise.all([store.stat(digest), catalog.blobSize(digest)])
      if (size === undefined) {
        if (known !== undefined) await catalog.forgetBlob(digest)
        return undefined
      }
      if (known === undefined) return checks.run(digest, () => checking(() => check(digest, size)))
      return size === known ? size : discard(digest)
    },

    async publish(blob, content) {
      await ('file' in content ? store.putFile(blob, content.file) : store.putBytes(blob, content.bytes))
      await catalog.rememberBlob(blob.digest, blob.size)
    },

    async readSmall(digest, limit) {
      const size = await blobs.find(digest)
      if (size === undefined) return undefined
      if (size > limit) throw new NixeryError('MANIFEST_UNKNOWN', 'too large to be a manifest')
      try {
        const bytes = await buffer(await store.read(digest))
        return digestOf(bytes) === digest ? bytes : await discard(digest)
      } catch (error) {
        if (hasCode(error, 'BLOB_UNKNOWN')) return undefined
        throw error
      }
    },
  }
  return blobs
}
