import { rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { Digest } from '../image/digest.ts'
import { bucketCheck, createPut, readObject, type ObjectStream } from './remote.ts'
import { openSpool, readSpooled } from './spool.ts'
import { digestOfName, objectName, storeError, type Blob, type BlobStore } from './store.ts'
import { runningError, troubleOf } from './trouble.ts'

/** Size in bytes, and media type. */
export type ObjectKind = Pick<Blob, 'size' | 'mediaType'>

/** An object in a listing; `modified` is in seconds since 1970. */
export type ListedObject = { readonly name: string; readonly size: number; readonly modified: number }

/**
 * The operations of a bucket service. They throw the errors of its SDK, which `trouble.ts` classifies. Each one ends
 * within the timeout of the store, including its retries.
 */
export type BucketOperations = {
  /** Returns the size of an object in bytes; fails if it does not exist. */
  size(name: string): Promise<number | undefined>
  /** Opens the bytes of an object from `start` to `end` (exclusive; by default the end of the object). */
  open(name: string, start: number, end: number | undefined, signal: AbortSignal): Promise<ObjectStream>
  /** Creates an object atomically. Each call of `content` returns a stream of all bytes. */
  upload(name: string, blob: ObjectKind, content: () => Readable): Promise<void>
  /**
   * Creates a small object, unless one exists.
   * @returns whether there was none. A service that ignores the condition replaces the object, and this returns true
   */
  create(name: string, bytes: Uint8Array, mediaType: string): Promise<boolean>
  /** Removes an object, if it exists. */
  remove(name: string): Promise<void>
  /** Lists a page of objects whose names start with `objectPrefix`, and returns the token of the next page. */
  list(page: string | undefined): Promise<{ objects: readonly ListedObject[]; next: string | undefined }>
  /** Fails if the bucket does not exist. */
  checkBucket(): Promise<unknown>
  /** Returns a URL where clients can GET the object. Without it, clients are not redirected to the bucket. */
  readonly address?: (name: string) => Promise<string>
}

export type BucketOptions = BucketTimes & {
  /** A local folder for files that will become blobs. */
  readonly spoolDirectory: string
}

export type BucketTimes = {
  /** Seconds within which the service must answer, including all attempts. */
  readonly timeout: number
}

/**
 * Creates a store that keeps blobs as objects `layers/<sha256>` in a bucket.
 * @throws STORE_UNAVAILABLE or STORE_FULL when the spool folder cannot be created
 */
export async function bucketStore(
  operations: BucketOperations,
  { spoolDirectory, timeout }: BucketOptions,
): Promise<BlobStore> {
  await openSpool(spoolDirectory).catch((error: unknown) => {
    throw storeError(error, `opening the folder ${spoolDirectory}`)
  })
  const requireBucket = bucketCheck(() => operations.checkBucket())
  const { address } = operations

  const store: BlobStore = {
    spoolDirectory,

    async stat(digest) {
      try {
        return await operations.size(objectName(digest)).catch(async (error: unknown) => {
          if (troubleOf(error) !== 'absent') throw error
          await requireBucket()
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
      redirectUrl: (digest: Digest) => reporting('signing a URL', () => address(objectName(digest))),
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
