import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import { bucketStore, type BucketOperations } from './bucket.ts'
import {
  addresses,
  checkGcsBucket,
  createGcsClient,
  downloads,
  withRetries,
  type GcsBucket,
  type GcsOptions,
} from './gcs-client.ts'
import { importOptional, uploadLimit, within } from './remote.ts'
import { objectPrefix, type BlobStore } from './store.ts'
import { statusOf, troubleOf } from './trouble.ts'

// Larger blobs are uploaded in chunks, which can be retried. Google requires a multiple of 256 KiB.
const chunkSize = 8 * 1024 * 1024

/**
 * Opens a store in a bucket of Google Cloud Storage.
 * @throws CONFIG_INVALID when the bucket is missing or refuses access, STORE_UNAVAILABLE when it cannot be reached
 */
export async function openGcsStore(options: GcsOptions): Promise<BlobStore> {
  return bucketStore(await openGcsBucket(options), options)
}

/** Opens a bucket of Google Cloud Storage, with the errors of `openGcsStore`. */
export async function openGcsBucket(options: GcsBucket): Promise<BucketOperations> {
  const { timeout } = options
  const load = () => import('@google-cloud/storage')
  const sdk = await importOptional(load, '@google-cloud/storage', 'the store in Google Cloud Storage')
  const client = createGcsClient(sdk, options, false)
  const bucket = client.bucket(options.bucket)
  const bucketForChunks = createGcsClient(sdk, options, true).bucket(options.bucket)
  const download = downloads(client, options)
  const address = await addresses(bucket, options)
  await checkGcsBucket(bucket, options)

  /** Sends a small request; `timeout` bounds all attempts together. */
  const ask = <T>(send: () => Promise<T>) => within(timeout, (signal) => withRetries(send, options, signal))

  return {
    async size(name) {
      const [{ size }] = await ask(() => bucket.file(name).getMetadata())
      return Number(size)
    },

    open: (name, start, end, signal) =>
      withRetries(() => download(bucket.file(name), start, end, signal), options, signal),

    // The object is created when its last byte has arrived and its checksum is correct.
    async upload(name, { size, mediaType }, content) {
      const inChunks = size > chunkSize
      const target = (inChunks ? bucketForChunks : bucket).file(name)
      const settings = {
        resumable: inChunks,
        chunkSize,
        validation: 'crc32c',
        contentType: mediaType,
        metadata: inChunks ? { contentLength: size } : {},
      } as const
      const send = async (signal: AbortSignal) => {
        // When the source of a single request fails, the SDK leaves it open. So it is read into memory first.
        const source = inChunks ? content() : Readable.from([await buffer(content())], { objectMode: false })
        await pipeline(source, target.createWriteStream(settings), { signal })
      }
      await withRetries(() => within(uploadLimit(size, timeout), send), options)
    },

    async create(name, bytes, contentType) {
      const settings = {
        resumable: false,
        validation: 'crc32c',
        contentType,
        preconditionOpts: { ifGenerationMatch: 0 },
      } as const
      try {
        await ask(() => bucket.file(name).save(Buffer.from(bytes), settings))
        return true
      } catch (error) {
        if (statusOf(error) === 412) return false
        throw error
      }
    },

    async remove(name) {
      await ask(() => bucket.file(name).delete({ ignoreNotFound: true }))
    },

    async list(pageToken) {
      const query = {
        prefix: objectPrefix,
        autoPaginate: false,
        ...(pageToken !== undefined && { pageToken }),
      }
      const [files, next] = await ask(() => bucket.getFiles(query))
      const objects = files.map(({ name, metadata }) => ({
        name,
        size: Number(metadata.size),
        modified: Date.parse(metadata.updated ?? '') / 1000,
      }))
      return { objects, next: (next as { pageToken?: string } | null)?.pageToken }
    },

    checkBucket: () =>
      ask(() => bucket.getMetadata()).catch((error: unknown) => {
        // Metadata needs a separate permission. Google reports a missing bucket in the message.
        if (troubleOf(error) !== 'forbidden') throw error
      }),

    ...(address && { address: (name: string) => within(timeout, () => address(bucket.file(name))) }),
  }
}
