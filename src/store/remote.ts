import { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { ByteRange } from './store.ts'
import { isPassing } from './trouble.ts'

// What a bucket must take at least, in bytes a second, for an upload not to be given up.
const slowestUpload = 256 * 1024
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
      hint: 'install them: npm ci --include=optional',
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

/** Does at most one check in `ms`; whoever asks meanwhile gets the last good outcome, or waits for the running one. */
export function remembered(check: () => Promise<void>, ms: number): () => Promise<void> {
  let goodUntil = 0
  let running: Promise<void> | undefined
  return () => {
    if (performance.now() < goodUntil) return Promise.resolve()
    running ??= check()
      .then(() => {
        goodUntil = performance.now() + ms
      })
      .finally(() => {
        running = undefined
      })
    return running
  }
}

/** Bytes that come, and how many will, if the service says it. */
export type Coming = { readonly stream: Readable; readonly size: number | undefined }

/** Asks for the bytes from `start`, up to and without `end` if it is given. Retries what it can by itself. */
export type OpenRange = (start: number, end: number | undefined) => Promise<Coming>

/**
 * Reads an object so that a connection that breaks or stalls is taken up again where it stopped. The stream ends
 * only after the last byte.
 * @param timeout seconds to wait for the next bytes; time that the reader takes does not count
 * @param failure gives an error its final form
 */
export async function readObject(
  open: OpenRange,
  range: ByteRange | undefined,
  { timeout, failure }: { timeout: number; failure: (error: unknown) => Error },
): Promise<Readable> {
  const start = range?.start ?? 0
  const ask: typeof open = async (from, to) => {
    try {
      return await within(timeout, () => open(from, to))
    } catch (error) {
      throw failure(error)
    }
  }
  const first = await ask(start, range?.end)
  const end = range?.end ?? first.size
  return Readable.from(resumed(), { objectMode: false, highWaterMark: 1024 * 1024 })

  async function* resumed(): AsyncGenerator<Uint8Array> {
    let at = start
    let { stream } = first
    let broken = 0
    try {
      while (true) {
        const next = await nextOf(stream, timeout).catch((error: unknown) => ({ error }))
        if ('value' in next && next.value) {
          at += next.value.length
          broken = 0
          if (end !== undefined && at > end) throw failure(new Error('the object is longer than it should be'))
          yield next.value
          continue
        }
        if (!('error' in next) && (end === undefined || at === end)) return
        const error = 'error' in next ? next.error : new Error(`the object ended after ${at} bytes`)
        stream.destroy()
        broken += 1
        if (broken > mostResumptions || end === undefined) throw failure(error)
        await delay(100 * 2 ** broken)
        stream = (await ask(at, end)).stream
      }
    } finally {
      stream.destroy()
    }
  }
}

/** The next bytes of a stream; no value at its end. */
async function nextOf(stream: Readable, timeout: number): Promise<{ value?: Uint8Array }> {
  return within(timeout, async () => {
    const chunk = stream.read() as Uint8Array | null
    return chunk ? { value: chunk } : {}
  })
}

export { isPassing }
