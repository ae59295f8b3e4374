import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import pLimit from 'p-limit'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { Blob, BlobStore, ByteRange } from './store.ts'
import { runningError, troubleOf } from './trouble.ts'

// What a bucket must take at least, in bytes a second, for an upload not to be given up.
const slowestUpload = 256 * 1024
// Parts of blobs lie in memory while they are sent: of so many blobs.
const uploadsAtOnce = 4
// A read that breaks off so often without a byte in between is given up.
const mostResumptions = 4

/** Seconds that an upload of so many bytes may take, where every answer may take `timeout` seconds. */
export const uploadLimit = (bytes: number, timeout: number): number => timeout + bytes / slowestUpload

/** Imports a package that is installed only where it is used. */
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

/** Fails with a TimeoutError when the work has not ended after so many seconds, and tells it so. */
export async function within<T>(seconds: number, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController()
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    const error = Object.assign(new Error(`no answer within ${seconds} s`), { name: 'TimeoutError' })
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
 * After a service has said that an object is absent, this says whether that was for want of its bucket, and fails
 * then. Who asks while another does waits for the same answer.
 */
export function bucketCheck(look: () => Promise<unknown>): () => Promise<void> {
  let running: Promise<void> | undefined
  const check = async () => {
    try {
      await look()
    } catch (cause) {
      if (troubleOf(cause) !== 'absent') throw cause
      throw Object.assign(new Error('the bucket is gone', { cause }), { code: 'NoSuchBucket' })
    } finally {
      running = undefined
    }
  }
  return () => (running ??= check())
}

/**
 * Makes the function that stores a blob: what is there with its size is not sent again, and what was sent must
 * have arrived.
 * @param upload sends an object, whole or not at all
 */
export function createPut(
  store: Pick<BlobStore, 'stat' | 'delete'>,
  upload: (blob: Blob, content: () => Readable) => Promise<void>,
): (blob: Blob, content: () => Readable) => Promise<void> {
  const uploads = pLimit(uploadsAtOnce)
  /** Makes sure that there is the whole object or none. */
  const settle = async ({ digest, size }: Blob) => {
    const stored = await store.stat(digest)
    if (stored !== undefined && stored !== size) await store.delete(digest)
    if (stored !== size) throw new Error(`of ${size} bytes, the service has stored ${stored ?? 'none'}`)
  }
  return async (blob, content) => {
    try {
      if ((await store.stat(blob.digest)) === blob.size) return
      await uploads(() => upload(blob, content)).catch(async (error: unknown) => {
        await settle(blob).catch(() => {}) // services less strict than the big ones keep parts
        throw error
      })
      await settle(blob)
    } catch (error) {
      throw runningError(error, 'storing a blob')
    }
  }
}

/** The error of a failed read, in its final form. */
function readingError(error: unknown): NixeryError {
  if (troubleOf(error) === 'absent') return new NixeryError('BLOB_UNKNOWN', 'no such blob', { cause: error })
  return runningError(error, 'reading a blob')
}

/** Bytes that come, and how many will, if the service says it. */
export type Coming = { readonly stream: Readable; readonly size: number | undefined }

/** Asks for the bytes from `start`, up to and without `end` if it is given. Retries what it can by itself. */
export type OpenRange = (start: number, end: number | undefined, signal: AbortSignal) => Promise<Coming>

/**
 * Reads an object so that a connection that breaks or stalls is taken up again where it stopped. The stream ends
 * only after the last byte.
 * @param timeout seconds to wait for the next bytes; time that the reader takes does not count
 */
export async function readObject(
  open: OpenRange,
  range: ByteRange | undefined,
  timeout: number,
): Promise<Readable> {
  const start = range?.start ?? 0
  const ask = async (from: number, to: number | undefined) => {
    try {
      return await within(timeout, async (signal) => {
        const coming = await open(from, to, signal)
        // It may break before it is read, and after; who reads hears of it. An answer that is late is read by nobody.
        coming.stream.on('error', () => {})
        if (signal.aborted) coming.stream.destroy()
        return coming
      })
    } catch (error) {
      throw readingError(error)
    }
  }
  const first = await ask(start, range?.end)
  const end = range?.end ?? first.size
  const whole = Readable.from(resumed(), { objectMode: false, highWaterMark: 1024 * 1024 })
  // One that is never read does not get as far as its own end.
  return whole.once('close', () => first.stream.destroy())

  async function* resumed(): AsyncGenerator<Buffer> {
    let at = start
    let { stream } = first
    let bytes = chunksOf(stream)
    let broken = 0
    try {
      while (true) {
        const next = await within(timeout, () => bytes.next()).catch((error: unknown) => ({ error }))
        if ('value' in next && !next.done) {
          at += next.value.length
          if (end !== undefined && at > end)
            throw readingError(new Error('the object is longer than it should be'))
          broken = 0
          yield next.value
          continue
        }
        if (at === end) return
        const error = 'error' in next ? next.error : new Error(`the object ended after ${at} bytes`)
        if (end === undefined && !('error' in next)) return
        stream.destroy()
        broken += 1
        if (end === undefined || broken > mostResumptions) throw readingError(error)
        await delay(100 * 2 ** broken)
        stream = (await ask(at, end)).stream
        bytes = chunksOf(stream)
      }
    } finally {
      stream.destroy()
    }
  }
}

const chunksOf = (stream: Readable) => stream[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>
