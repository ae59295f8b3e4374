import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { Blob, BlobStore, ByteRange, StorageTexts } from './store.ts'
import { runningError, troubleOf } from './trouble.ts'

// Uploads slower than this, in bytes a second, are given up.
const slowestUpload = 256 * 1024
// Parts of blobs are in memory while they are uploaded, so the number of uploads is bounded.
const uploadsAtOnce = 4
// A read is given up after this many interruptions without a byte in between.
const maxInterruptions = 4

/** The time limit in seconds for an upload of this size, if a request may take `timeout` seconds. */
export const uploadLimit = (bytes: number, timeout: number): number => timeout + bytes / slowestUpload

/** Imports an optional package. */
export async function importOptional<T>(load: () => Promise<T>, packages: string, use: string): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    if (systemErrorCode(cause) !== 'ERR_MODULE_NOT_FOUND') throw cause
    throw new NixeryError('CONFIG_INVALID', `${use} needs the npm packages ${packages}`, {
      cause,
      // On an older Node, npm leaves out optional packages that need a newer one, and says nothing.
      hint: 'install them with npm of Node 24.12 or later: npm ci --include=optional',
    })
  }
}

/** Rejects with a TimeoutError when the work takes longer than this, and aborts its signal. */
export async function within<T>(seconds: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController()
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const error = Object.assign(new Error(`no response within ${seconds} s`), { name: 'TimeoutError' })
    late.reject(error)
    abort.abort(error)
  }, seconds * 1000)
  try {
    return await Promise.race([work(abort.signal), late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Returns a function to call after a service has reported a missing object. It fails if the whole bucket is missing.
 * Concurrent callers share one check.
 */
export function bucketCheck(checkBucket: () => Promise<unknown>): () => Promise<void> {
  let running: Promise<void> | undefined
  const check = async () => {
    try {
      await checkBucket()
    } catch (cause) {
      if (troubleOf(cause) !== 'absent') throw cause
      throw Object.assign(new Error('the bucket does not exist', { cause }), { code: 'NoSuchBucket' })
    } finally {
      running = undefined
    }
  }
  return () => (running ??= check())
}

/**
 * Returns the function that stores a blob. It does not upload an object that exists with the right size, and verifies
 * the size after an upload.
 * @param upload creates an object atomically
 */
export function createPut(
  store: Pick<BlobStore, 'stat' | 'delete'>,
  upload: (blob: Blob, content: () => Readable) => Promise<void>,
): (blob: Blob, content: () => Readable) => Promise<void> {
  const uploads = pLimit(uploadsAtOnce)
  /** Removes an incomplete object. Fails unless the complete one exists. */
  const verifyOrRemove = async ({ digest, size }: Blob) => {
    const stored = await store.stat(digest)
    if (stored !== undefined && stored !== size) await store.delete(digest)
    if (stored !== size) throw new Error(`the service has stored ${stored ?? 0} of ${size} bytes`)
  }
  return async (blob, content) => {
    try {
      if ((await store.stat(blob.digest)) === blob.size) return
      await uploads(() => upload(blob, content)).catch(async (error: unknown) => {
        await verifyOrRemove(blob).catch(() => {}) // some services keep incomplete objects
        throw error
      })
      await verifyOrRemove(blob)
    } catch (error) {
      throw runningError(error, 'storing a blob')
    }
  }
}

/** Converts the error of a failed read. */
function readingError(error: unknown, texts?: StorageTexts): NixeryError {
  if (troubleOf(error) === 'absent') return new NixeryError('BLOB_UNKNOWN', 'no such blob', { cause: error })
  return runningError(error, 'reading a blob', texts)
}

/** A stream of an object's bytes, and their number if the service reports it. */
export type ObjectStream = { readonly stream: Readable; readonly size: number | undefined }

/** Opens the bytes from `start` to `end` (exclusive; by default the end of the object), with retries. */
export type OpenRange = (start: number, end: number | undefined, signal: AbortSignal) => Promise<ObjectStream>

/**
 * Reads an object, and resumes after the last byte when the connection breaks or stalls. The stream ends only after the
 * last byte of the range.
 * @param timeout seconds to wait for more bytes; the time of the reader does not count
 * @param texts of failures; default: those of blobs
 */
export async function readObject(
  open: OpenRange,
  range: ByteRange | undefined,
  timeout: number,
  texts?: StorageTexts,
): Promise<Readable> {
  const start = range?.start ?? 0
  const openAt = async (from: number, to: number | undefined) => {
    try {
      return await within(timeout, async (signal) => {
        const object = await open(from, to, signal)
        // Errors before the first read would be unhandled; readers get them from the iterator. Close a late stream.
        object.stream.on('error', () => {})
        if (signal.aborted) object.stream.destroy()
        return object
      })
    } catch (error) {
      throw readingError(error, texts)
    }
  }
  const first = await openAt(start, range?.end)
  const end = range?.end ?? first.size
  const stream = Readable.from(chunks(), { objectMode: false, highWaterMark: 1024 * 1024 })
  // The generator of a stream that is never read does not reach its `finally`.
  return stream.once('close', () => first.stream.destroy())

  async function* chunks(): AsyncGenerator<Buffer> {
    let at = start
    let source = first.stream
    let bytes = chunksOf(source)
    let interruptions = 0
    try {
      while (true) {
        const next = await within(timeout, () => bytes.next()).catch((error: unknown) => ({ error }))
        if ('value' in next && !next.done) {
          at += next.value.length
          if (end !== undefined && at > end)
            throw readingError(new Error(`the object is longer than ${end} bytes`), texts)
          interruptions = 0
          yield next.value
          continue
        }
        if (at === end) return
        const error = 'error' in next ? next.error : new Error(`the object ended after ${at} bytes`)
        if (end === undefined && !('error' in next)) return
        source.destroy()
        interruptions += 1
        if (end === undefined || interruptions > maxInterruptions) throw readingError(error, texts)
        await delay(100 * 2 ** interruptions)
        source = (await openAt(at, end)).stream
        bytes = chunksOf(source)
      }
    } finally {
      source.destroy()
    }
  }
}

const chunksOf = (stream: Readable) => stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>
