import { rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import type { File } from '@google-cloud/storage'
import type { Digest } from '../image/digest.ts'
import { addresses, checkGcsBucket, createGcsClient, downloads, withRetries } from './gcs-client.ts'
import { bucketCheck, createPut, importOptional, readObject, uploadLimit, within } from './remote.ts'
import { openSpool, readSpooled } from './spool.ts'
import { digestOfName, objectName, objectPrefix, storeError, type BlobStore } from './store.ts'
import { runningError, troubleOf } from './trouble.ts'

export type GcsOptions = {
  readonly bucket: string
  /** Base address of a service that speaks the protocol, other than Google's; it gets no credentials. */
  readonly endpoint: string | undefined
  /**
   * The file in GOOGLE_APPLICATION_CREDENTIALS, if that is set: Google's SDK takes credentials from there by itself,
   * and their key signs addresses. Without, the other application default credentials.
   */
  readonly keyFile: string | undefined
  /** Whether clients are sent to the bucket: to a signed address with a key, else to the public one. */
  readonly redirect: boolean
  /** Folder on a local disk for files that are to become blobs. */
  readonly spoolDirectory: string
  /** Seconds within which the service must answer, all attempts together. */
  readonly timeout: number
  /** Most seconds between two attempts; at least 1. */
  readonly longestDelay: number
}

// Larger blobs are uploaded chunk by chunk, and each chunk can be sent again. Google takes multiples of 256 KiB.
const chunkSize = 8 * 1024 * 1024

/**
 * Blobs as objects `layers/<sha256>` in a bucket of Google Cloud Storage.
 * @throws CONFIG_INVALID when the bucket is missing or refuses access, STORE_UNAVAILABLE when it cannot be reached
 */
export async function openGcsStore(options: GcsOptions): Promise<BlobStore> {
  const { spoolDirectory, timeout } = options
  const load = () => import('@google-cloud/storage')
  const sdk = await importOptional(load, '@google-cloud/storage', 'the store in Google Cloud Storage')
  const client = createGcsClient(sdk, options, false)
  const bucket = client.bucket(options.bucket)
  const bucketForChunks = createGcsClient(sdk, options, true).bucket(options.bucket)
  const download = downloads(client, options)
  const address = await addresses(bucket, options)
  await checkGcsBucket(bucket, options)
  await openSpool(spoolDirectory).catch((error: unknown) => {
    throw storeError(error, `opening the folder ${spoolDirectory}`)
  })

  /** A small request: `timeout` bounds all attempts together. */
  const ask = <T>(send: () => Promise<T>) => within(timeout, (signal) => withRetries(send, options, signal))
  const fileOf = (digest: Digest): File => bucket.file(objectName(digest))
  const bucketIsThere = bucketCheck(() =>
    ask(() => bucket.getMetadata()).catch((error: unknown) => {
      // To see a bucket's metadata is a right of its own. Google says in words when there is no bucket.
      if (troubleOf(error) !== 'forbidden') throw error
    }),
  )

  const store: BlobStore = {
    spoolDirectory,

    async stat(digest) {
      try {
        const [{ size }] = await ask(() => fileOf(digest).getMetadata())
        return Number(size)
      } catch (error) {
        try {
          if (troubleOf(error) !== 'absent') throw error
          await bucketIsThere()
          return undefined
        } catch (failure) {
          throw runningError(failure, 'looking for a blob')
        }
      }
    },

    read: (digest, range) =>
      readObject(
        (start, end, signal) =>
          withRetries(() => download(fileOf(digest), start, end, signal), options, signal),
        range,
        timeout,
      ),

    async putFile(blob, file) {
      try {
        await put(blob, () => readSpooled(file, blob.size))
      } finally {
        await rm(file, { force: true })
      }
    },

    putBytes: (blob, bytes) => put(blob, () => Readable.from([bytes], { objectMode: false })),

    async delete(digest) {
      try {
        await ask(() => fileOf(digest).delete({ ignoreNotFound: true }))
      } catch (error) {
        throw runningError(error, 'removing a blob')
      }
    },

    async *list() {
      let pageToken: string | undefined
      do {
        const query = {
          prefix: objectPrefix,
          autoPaginate: false,
          ...(pageToken !== undefined && { pageToken }),
        }
        const [files, next] = await ask(() => bucket.getFiles(query)).catch((error: unknown) => {
          throw runningError(error, 'listing blobs')
        })
        for (const { name, metadata } of files) {
          const digest = digestOfName(name)
          const modified = Date.parse(metadata.updated ?? '') / 1000
          if (digest) yield { digest, size: Number(metadata.size), modified }
        }
        pageToken = (next as { pageToken?: string } | null)?.pageToken
      } while (pageToken !== undefined)
    },

    ...(address && {
      async redirectUrl(digest) {
        try {
          return await within(timeout, () => address(fileOf(digest)))
        } catch (error) {
          throw runningError(error, 'signing an address')
        }
      },
    }),
  }
  // An object comes into being when its last byte has arrived and its checksum is right.
  const put = createPut(store, async ({ digest, size, mediaType }, content) => {
    const inChunks = size > chunkSize
    const target = (inChunks ? bucketForChunks : bucket).file(objectName(digest))
    const settings = {
      resumable: inChunks,
      chunkSize,
      validation: 'crc32c',
      contentType: mediaType,
      metadata: inChunks ? { contentLength: size } : {},
    } as const
    const send = async (signal: AbortSignal) => {
      // What the SDK sends in one request it leaves open when the source fails. So that comes from memory.
      const source = inChunks ? content() : Readable.from([await buffer(content())], { objectMode: false })
      await pipeline(source, target.createWriteStream(settings), { signal })
    }
    await withRetries(() => within(uploadLimit(size, timeout), send), options)
  })
  return store
}
