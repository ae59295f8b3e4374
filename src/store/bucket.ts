import { rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { Digest } from '../image/digest.ts'
import { bucketCheck, createPut, readObject, type Coming } from './remote.ts'
import { openSpool, readSpooled } from './spool.ts'
import { digestOfName, objectName, storeError, type Blob, type BlobStore } from './store.ts'
import { runningError, troubleOf } from './trouble.ts'

/** An object of a bucket; `modified` in seconds since 1970. */
export type ListedObject = { readonly name: string; readonly size: number; readonly modified: number }

/**
 * What a service for buckets does, with the errors of its SDK (`trouble.ts` reads them). Every operation ends within
 * the time that the service has, its retries included.
 */
export type BucketOperations = {
  /** The size of an object in bytes; fails if there is none. */
  size(name: string): Promise<number | undefined>
  /** The bytes of an object from `start`, up to and without `end` if it is given. */
  open(name: string, start: number, end: number | undefined, signal: AbortSignal): Promise<Coming>
  /** Creates an object, whole or not at all. `content` gives the bytes, each time from the first. */
  upload(name: string, blob: Blob, content: () => Readable): Promise<void>
  /** Removes an object; nothing happens if there is none. */
  remove(name: string): Promise<void>
  /** A page of objects whose names begin with `objectPrefix`, and where the next one begins. */
  list(page: string | undefined): Promise<{ objects: readonly ListedObject[]; next: string | undefined }>
  /** Fails if the bucket does not exist. */
  checkBucket(): Promise<unknown>
  /** An address where a client can GET the object; without, clients are not sent to the bucket. */
  readonly address?: (name: string) => Promise<string>
}

export type BucketOptions = {
  /** Folder on a local disk for files that are to become blobs. */
  readonly spoolDirectory: string
  /** Seconds within which the service must answer, all attempts together. */
  readonly timeout: number
}

/**
 * Blobs as objects `layers/<sha256>` in a bucket.
 * @throws STORE_UNAVAILABLE, STORE_FULL when the folder cannot be created
 */
export async function bucketStore(
  operations: BucketOperations,
  { spoolDirectory, timeout }: BucketOptions,
): Promise<BlobStore> {
  await openSpool(spoolDirectory).catch((error: unknown) => {
    throw storeError(error, `opening the folder ${spoolDirectory}`)
  })
  const bucketIsThere = bucketCheck(() => operations.checkBucket())
  const { address } = operations

  const store: BlobStore = {
    spoolDirectory,

    async stat(digest) {
      try {
        return await operations.size(objectName(digest)).catch(async (error: unknown) => {
          if (troubleOf(error) !== 'absent') throw error
          await bucketIsThere()
          return undefined
        })
      } catch (error) {
        throw runningError(error, 'looking for a blob')
      }
    },

    read: (digest, range) =>
      readObject(
        (start, end, signal) => operations.open(objectName(digest), start, end, signal),
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

    delete: (digest) => reporting('removing a blob', () => operations.remove(objectName(digest))),

    async *list() {
      let page: string | undefined
      do {
        const { objects, next } = await reporting('listing blobs', () => operations.list(page))
        for (const { name, size, modified } of objects) {
          const digest = digestOfName(name)
          if (digest) yield { digest, size, modified }
        }
        page = next
      } while (page !== undefined)
    },

    ...(address && {
      redirectUrl: (digest: Digest) => reporting('signing an address', () => address(objectName(digest))),
    }),
  }
  const put = createPut(store, (blob, content) => operations.upload(objectName(blob.digest), blob, content))
  return store
}

async function reporting<T>(doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw runningError(error, doing)
  }
}
