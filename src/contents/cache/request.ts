import type { HttpClient, OpenResponse } from '../../net/http-client.ts'
import { redirectOf } from '../../net/redirect.ts'
import { CacheTrouble, reasonOf } from './trouble.ts'

/** Options of requests to a cache. Times are in milliseconds. */
export type RequestOptions = {
  readonly client: Pick<HttpClient, 'open'>
  /** A request that receives less than `leastPerStall` bytes in this time is aborted. */
  readonly stall: number
  /** The time limit for a whole response, for caches that send single bytes. */
  readonly whole?: boolean
  readonly signal: AbortSignal | undefined
  /** The Authorization header for a URL, if any. */
  readonly authorization: (url: URL) => string | undefined
  readonly headers?: Readonly<Record<string, string>>
}

/** A response whose body has not been read yet. */
export type Answer = OpenResponse

const mostRedirects = 10
/**
 * The minimum number of bytes within `stall`, so that a cache that sends single bytes cannot block an image forever.
 */
const leastPerStall = 64 * 1024

/**
 * Sends a GET request and follows redirects, only to http and https, and never from https to http. Credentials are only
 * sent to their own host.
 * @throws CacheTrouble, and the signal's reason
 */
export async function request(address: URL, options: RequestOptions): Promise<Answer> {
  let url = address
  for (let redirects = 0; ; redirects++) {
    const answer = await ask(url, options)
    const next = redirectOf('GET', answer, url)
    if (!next && (answer.status < 300 || answer.status > 399)) return answer
    await answer.discard()
    if (!next?.isHttp || next.losesTls) throw new CacheTrouble('it redirects to a URL that is not allowed')
    if (redirects === mostRedirects) throw new CacheTrouble(`it redirects more than ${mostRedirects} times`)
    url = next.url
  }
}

async function ask(
  url: URL,
  { client, stall, whole = false, signal, authorization, headers }: RequestOptions,
): Promise<Answer> {
  signal?.throwIfAborted()
  // Not AbortSignal.any and timeout, whose timers and listeners would remain, for thousands of requests.
  const ending = new AbortController()
  const end = () => ending.abort(signal?.reason)
  signal?.addEventListener('abort', end, { once: true })
  let what = 'no data for'
  const late = () => ending.abort(new CacheTrouble(`${what} ${stall / 1000} s`, { isSlow: true }))
  let timer = setTimeout(late, stall)
  const over = () => {
    clearTimeout(timer)
    signal?.removeEventListener('abort', end)
  }
  const fail = (error: unknown): Error => {
    over()
    // Report why the request was aborted, and not the broken connection that results from it.
    const reason: unknown = ending.signal.aborted ? ending.signal.reason : error
    if (signal?.aborted) return reason instanceof Error ? reason : new Error('aborted')
    if (reason instanceof CacheTrouble) return reason
    return new CacheTrouble(reasonOf(reason), { isPassing: true, cause: reason })
  }
  const secret = authorization(url)
  try {
    const response = await client.open({
      url,
      headers: { ...headers, ...(secret !== undefined && { Authorization: secret }) },
      signal: ending.signal,
    })
    const pieces = async function* (): AsyncGenerator<Buffer> {
      // The time of a busy reader does not count.
      let [waited, size, from] = [0, 0, performance.now()]
      what = whole ? 'a small file did not arrive within' : 'almost no data for'
      try {
        for await (const piece of response.body) {
          if (!whole) clearTimeout(timer)
          waited += performance.now() - from
          size += piece.length
          if (size >= leastPerStall) [waited, size] = [0, 0]
          yield piece
          from = performance.now()
          if (!whole) timer = setTimeout(late, stall - waited)
        }
      } catch (error) {
        throw fail(error)
      } finally {
        over()
      }
    }
    return {
      ...response,
      body: pieces(),
      discard: () => response.discard().finally(over),
    }
  } catch (error) {
    throw fail(error)
  }
}

/** The wait that a server requests (RFC 9110, section 10.2.3), in milliseconds, up to a limit. */
function retryAfter(headers: Answer['headers']): number {
  const value = headers['retry-after']?.trim() ?? ''
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(wait) ? 0 : Math.min(Math.max(wait, 0), longestRetryAfter)
}
const longestRetryAfter = 10_000

/**
 * The meaning of a status other than 2xx, as in Nix (libstore/filetransfer.cc): missing, or trouble. S3 responds with 403 to
 * requests for missing objects by clients that may not list.
 */
export function meaningOf({ status, headers }: Pick<Answer, 'status' | 'headers'>): 'missing' | CacheTrouble {
  if ([403, 404, 410].includes(status)) return 'missing'
  const isPassing = status === 408 || status === 429 || (status >= 500 && ![501, 505, 511].includes(status))
  const hint =
    status === 401 || status === 407
      ? ': it requires credentials, see netrc-file in nix.conf and NIXERY_CACHE_TOKENS'
      : ''
  return new CacheTrouble(`it responded with ${status}${hint}`, {
    isPassing,
    retryAfter: retryAfter(headers),
  })
}
