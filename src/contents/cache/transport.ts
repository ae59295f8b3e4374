import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { systemErrorCode } from '../../errors.ts'
import { meaningOf, request, type Answer, type RequestOptions } from './request.ts'
import { CacheTrouble } from './trouble.ts'

/** Reads the files of a cache. All methods throw CacheTrouble, and the signal's reason. */
export type Transport = {
  /** Fetches a small file; undefined if it does not exist. Retries after temporary failures. */
  small(url: URL, limit: number, signal: AbortSignal | undefined): Promise<Buffer | undefined>
  /** Reads a file, and resumes when a connection breaks. */
  bytes(url: URL, signal: AbortSignal | undefined): AsyncIterable<Uint8Array>
}

export type HttpOptions = Pick<RequestOptions, 'client' | 'stall' | 'authorization'> & {
  /** Milliseconds before the second attempt; doubled for each further one, and randomized by a factor of up to two. */
  readonly firstDelay?: number
}

/** The maximum number of attempts that time out, because five of them could take minutes. */
const mostStalls = 2
/** The maximum number of attempts without progress, and of all attempts for one file. */
const mostFailures = 5
/** The number of bytes of an attempt that count as progress. */
const leastProgress = 4096
const mostAttempts = 50
const longestDelay = 5_000

export function httpTransport({ firstDelay = 100, ...options }: HttpOptions): Transport {
  /** Waits before another attempt; throws the failure if there is none left. */
  const again = async (error: unknown, failures: number, signal: AbortSignal | undefined) => {
    if (!(error instanceof CacheTrouble) || !error.isPassing) throw error
    if (failures >= (error.isSlow ? mostStalls : mostFailures)) throw error
    const delay = Math.min(longestDelay, firstDelay * 2 ** (failures - 1)) * (1 + Math.random())
    await sleep(Math.max(delay, error.retryAfter), undefined, { ...(signal && { signal }) })
  }

  const attempt = async (url: URL, limit: number, signal: AbortSignal | undefined) => {
    const answer = await request(url, { ...options, whole: true, signal })
    if (answer.status !== 200) {
      await answer.discard()
      const meaning = meaningOf(answer)
      if (meaning === 'missing') return undefined
      throw meaning
    }
    const pieces: Uint8Array[] = []
    let size = 0
    for await (const piece of answer.body) {
      size += piece.length
      if (size > limit) throw new CacheTrouble(`a file is larger than ${limit} bytes`)
      pieces.push(piece)
    }
    return Buffer.concat(pieces)
  }

  return {
    async small(url, limit, signal) {
      for (let failures = 0; ;) {
        try {
          return await attempt(url, limit, signal)
        } catch (error) {
          await again(error, (failures += 1), signal)
        }
      }
    },

    async *bytes(url, signal) {
      let [done, failures, attempts, progress] = [0, 0, 0, 0]
      let resume: Readonly<Record<string, string>> | undefined
      for (;;) {
        try {
          attempts += 1
          progress = 0
          // Without Content-Encoding: a resumed download would not match.
          const headers = {
            'Accept-Encoding': 'identity',
            ...(done > 0 && resume && rangeFrom(done, resume)),
          }
          const answer = await request(url, { ...options, headers, signal })
          let skip = done
          if (answer.status === 206 && startOf(answer.headers) === done) skip = 0
          else if (answer.status === 200) resume = resumable(answer.headers)
          else {
            await answer.discard()
            const meaning = meaningOf(answer)
            throw meaning === 'missing' ? new CacheTrouble('the file in its narinfo does not exist') : meaning
          }
          for await (const piece of answer.body) {
            const rest = piece.subarray(Math.min(skip, piece.length))
            skip -= piece.length - rest.length
            if (rest.length === 0) continue
            done += rest.length
            progress += rest.length
            if (progress >= leastProgress) failures = 0
            yield rest
          }
          return
        } catch (error) {
          if (attempts >= mostAttempts) throw error
          await again(error, (failures += 1), signal)
        }
      }
    },
  }
}

const rangeFrom = (start: number, resume: Readonly<Record<string, string>>) => ({
  ...resume,
  Range: `bytes=${start}-`,
})

/** The headers of a request for the rest, apart from the range; undefined if everything must be sent again. */
function resumable(headers: Answer['headers']): Readonly<Record<string, string>> | undefined {
  if (headers['accept-ranges'] !== 'bytes' || headers['content-encoding'] !== undefined) return undefined
  const { etag } = headers
  return etag?.startsWith('"') ? { 'If-Range': etag } : {}
}

/** The start of a part, from its Content-Range. */
const startOf = (headers: Answer['headers']): number =>
  Number(/^bytes (?<start>\d+)-/.exec(headers['content-range'] ?? '')?.groups?.['start'] ?? NaN)

/** A cache in a local folder. Nothing outside of it is read, whatever a narinfo contains. */
export function fileTransport(folder: URL): Transport {
  const fileOf = (url: URL): string => {
    if (!url.href.startsWith(folder.href))
      throw new CacheTrouble('a narinfo refers to a file outside of the cache')
    return fileURLToPath(url)
  }
  /** The size of a file. @throws CacheTrouble for pipes and devices, of which reading may never end */
  const sizeOf = async (file: string): Promise<number> => {
    const found = await stat(file)
    if (!found.isFile()) throw new CacheTrouble('a file of the cache is not a regular file')
    return found.size
  }
  const failure = (error: unknown): CacheTrouble =>
    error instanceof CacheTrouble
      ? error
      : new CacheTrouble(error instanceof Error ? error.message : String(error), { cause: error })
  return {
    async small(url, limit, signal) {
      try {
        const file = fileOf(url)
        if ((await sizeOf(file)) > limit) throw new CacheTrouble(`a file is larger than ${limit} bytes`)
        return await readFile(file, { signal })
      } catch (error) {
        signal?.throwIfAborted()
        if (systemErrorCode(error) === 'ENOENT') return undefined
        throw failure(error)
      }
    },
    async *bytes(url, signal) {
      try {
        const file = fileOf(url)
        await sizeOf(file)
        yield* createReadStream(file, { signal }) as AsyncIterable<Buffer>
      } catch (error) {
        signal?.throwIfAborted()
        throw failure(error)
      }
    },
  }
}
