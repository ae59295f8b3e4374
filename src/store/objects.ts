import type { Readable } from 'node:stream'
import { NixeryError } from '../errors.ts'
import type { BucketOperations, BucketTimes, ObjectKind } from './bucket.ts'
import { bucketCheck, readObject } from './remote.ts'
import { readSpooled } from './spool.ts'
import type { StorageTexts } from './store.ts'
import { runningError, troubleOf } from './trouble.ts'

/**
 * Files under names with slashes, in a bucket or a folder: those of a binary cache. All implementations pass
 * `objects-conformance.ts`, and fail with STORE_FULL or STORE_UNAVAILABLE.
 */
export type Objects = {
  /** Returns the size of an object in bytes, or undefined if it does not exist. */
  size(name: string): Promise<number | undefined>
  /** Reads a small object; undefined if it does not exist. Fails if it is larger than `most` bytes. */
  read(name: string, most: number): Promise<Buffer | undefined>
  /** Reads an object. Fails with BLOB_UNKNOWN if it does not exist. */
  open(name: string): Promise<Readable>
  /** Stores a file of this size under a name, atomically. The file stays. Does nothing if an object of this size exists. */
  upload(name: string, kind: ObjectKind, file: string): Promise<void>
  /**
   * Creates a small object, unless it exists. Exactly one of several concurrent calls creates it.
   * @returns whether this call created it. A service that ignores the condition replaces the object, and this returns true
   */
  create(name: string, bytes: Uint8Array, mediaType: string): Promise<boolean>
}

export function bucketObjects(
  operations: BucketOperations,
  { timeout, texts }: BucketTimes & { readonly texts: StorageTexts },
): Objects {
  const requireBucket = bucketCheck(() => operations.checkBucket())
  const reporting = async <T>(doing: string, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      throw runningError(error, doing, texts)
    }
  }
  const size = (name: string) =>
    reporting('looking for a file', () =>
      operations.size(name).catch(async (error: unknown) => {
        if (troubleOf(error) !== 'absent') throw error
        await requireBucket()
        return undefined
      }),
    )
  const open = (name: string) =>
    readObject((start, end, signal) => operations.open(name, start, end, signal), undefined, timeout, texts)

  return {
    size,
    open,
    async read(name, most) {
      const stream = await open(name).catch(async (error: unknown) => {
        if (!(error instanceof NixeryError) || error.code !== 'BLOB_UNKNOWN') throw error
        await reporting('reading a file', requireBucket)
        return undefined
      })
      return stream && collect(stream, most, texts)
    },
    upload: (name, kind, file) =>
      reporting('storing a file', async () => {
        if ((await operations.size(name).catch(absent)) === kind.size) return
        await operations.upload(name, kind, () => readSpooled(file, kind.size))
        const stored = await operations.size(name)
        if (stored !== kind.size)
          throw new Error(`the service has stored ${stored ?? 0} of ${kind.size} bytes`)
      }),
    create: (name, bytes, mediaType) =>
      reporting('creating a file', () => operations.create(name, bytes, mediaType)),
  }
}

function absent(error: unknown): undefined {
  if (troubleOf(error) !== 'absent') throw error
}

/** Reads a stream into memory. @throws if it has more than `most` bytes */
export async function collect(stream: Readable, most: number, texts: StorageTexts): Promise<Buffer> {
  const pieces: Buffer[] = []
  let size = 0
  for await (const piece of stream as AsyncIterable<Buffer>) {
    size += piece.length
    if (size > most)
      throw runningError(new Error(`a file is larger than ${most} bytes`), 'reading a file', texts)
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
