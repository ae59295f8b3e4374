import { readFile, stat } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import pRetry from 'p-retry'
import { NixeryError, systemErrorCode } from '../errors.ts'
import { createHttpClient, type HttpClient, type IncomingResponse } from '../net/http-client.ts'
import { maxRedirects, redirectOf } from '../net/redirect.ts'

/** A response. Files have a status, too: 200, 304 or 404. */
export type Answer = {
  readonly status: number
  readonly body: Buffer
  /** Pass it as `etag` to a later request to get a 304 if nothing has changed. */
  readonly etag: string | undefined
  readonly location: string | undefined
}

export type GetOptions = {
  /** The maximum size of a body in bytes, after decompression. */
  readonly limit: number
  /** Milliseconds that one attempt may take, including the body; 30 s by default. */
  readonly timeout?: number
  readonly etag?: string | undefined
  /** Whether to follow redirects; by default they are followed. */
  readonly redirect?: 'follow' | 'manual'
  readonly signal?: AbortSignal | undefined
}

/**
 * Reads an http, https or file URL.
 * @throws SOURCE_INVALID if it is unreachable, ends early, keeps asking to retry later or is too large; the signal's
 * reason
 */
export type Get = (url: URL, options: GetOptions) => Promise<Answer>

export type RetryPolicy = {
  /** The number of retries after the first attempt. */
  readonly retries: number
  /** Milliseconds before the first retry; doubled for each further one, and randomised by a factor of up to two. */
  readonly firstDelay: number
}

const longestDelay = 15_000
// If a server asks to wait longer than this, give up: a later run can continue.
const longestRetryAfter = 120_000

/** Retries broken connections, timeouts, 408, 425, 429 and 5xx; respects `Retry-After`. */
export function createGet(
  { retries, firstDelay }: RetryPolicy = { retries: 4, firstDelay: 500 },
  client: HttpClient = createHttpClient(),
): Get {
  return async (url, options) => {
    const { signal } = options
    try {
      if (url.protocol === 'file:') return await readAsAnswer(url, options)
      return await pRetry(() => attempt(client, url, options), {
        retries,
        minTimeout: firstDelay,
        maxTimeout: longestDelay,
        randomize: true,
        ...(signal && { signal }),
        async shouldRetry({ error }) {
          if (!(error instanceof Passing)) return false
          await sleep(error.retryAfter, undefined, { ...(signal && { signal }) })
          return true
        },
      })
    } catch (error) {
      signal?.throwIfAborted()
      throw new NixeryError('SOURCE_INVALID', `cannot read ${shown(url)}: ${reasonOf(error)}`, {
        cause: error,
      })
    }
  }
}

/** A transient failure. */
class Passing extends Error {
  /** Milliseconds that the server asks to wait. */
  readonly retryAfter: number
  constructor(message: string, options: { retryAfter?: number; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.retryAfter = options.retryAfter ?? 0
  }
}

const isPassing = (status: number): boolean => [408, 425, 429].includes(status) || status >= 500

async function attempt(client: HttpClient, first: URL, options: GetOptions): Promise<Answer> {
  const { redirect = 'follow', signal } = options
  try {
    let url = first
    for (let redirects = 0; redirects <= maxRedirects; redirects += 1) {
      const answer = await once(client, url, first, options)
      const next = redirect === 'follow' ? redirectOf('GET', answer, url) : undefined
      if (!next) return resultOf(answer, options)
      if (!next.isHttp) throw new Refused('it redirects to a URL that is not http or https')
      if (next.losesTls) throw new Refused('it redirects from https to http')
      url = next.url
    }
    throw new Refused(`it redirects more than ${maxRedirects} times`)
  } catch (error) {
    signal?.throwIfAborted()
    if (error instanceof Passing || error instanceof Refused) throw error
    throw new Passing(reasonOf(error), { cause: error })
  }
}

function once(
  client: HttpClient,
  url: URL,
  first: URL,
  { limit, timeout = 30_000, etag, signal }: GetOptions,
): Promise<IncomingResponse> {
  const { address, headers } = requestOf(url, first, etag)
  return client.send({ method: 'GET', url: address, headers, limit, timeout, compressed: true, signal })
}

function resultOf({ status, headers, body }: IncomingResponse, { limit }: GetOptions): Answer {
  if (isPassing(status)) {
    throw new Passing(`it responded with ${status}`, { retryAfter: retryAfter(headers['retry-after']) })
  }
  if (!body && status === 200) throw new TooLarge(limit)
  return {
    status,
    body: body ?? Buffer.alloc(0),
    etag: headers.etag,
    location: headers.location,
  }
}

/** A permanent failure. */
class Refused extends Error {}

class TooLarge extends Refused {
  constructor(limit: number) {
    super(`it is larger than ${limit} bytes`)
  }
}

/** Moves user and password from the URL to a header, which is sent only to the origin of the first URL. */
function requestOf(
  url: URL,
  first: URL,
  etag: string | undefined,
): { address: URL; headers: Record<string, string> } {
  const address = new URL(url)
  address.username = ''
  address.password = ''
  const headers: Record<string, string> = {}
  if (etag !== undefined) headers['If-None-Match'] = etag
  const { username, password } = url.origin === first.origin ? first : url
  if (username !== '' || password !== '') {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
    headers['Authorization'] = `Basic ${Buffer.from(credentials).toString('base64')}`
  }
  return { address, headers }
}

/** RFC 9110, section 10.2.3: seconds, or a date. */
function retryAfter(header: string | undefined): number {
  const value = header?.trim() ?? ''
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now()
  return Number.isNaN(wait) ? 0 : Math.min(Math.max(wait, 0), longestRetryAfter)
}

async function readAsAnswer(url: URL, { limit, etag, signal }: GetOptions): Promise<Answer> {
  const answer = (status: number, body = Buffer.alloc(0), tag?: string): Answer => ({
    status,
    body,
    etag: tag,
    location: undefined,
  })
  try {
    const file = fileURLToPath(url)
    const { ino, size, mtimeMs } = await stat(file)
    const tag = `${ino}-${size}-${mtimeMs}`
    if (tag === etag) return answer(304, undefined, tag)
    if (size > limit) throw new TooLarge(limit)
    return answer(200, await readFile(file, { signal }), tag)
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return answer(404)
    throw error
  }
}

/** The reason of a failure, for a message. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.message || systemErrorCode(error) || error.name
}

/** A URL for messages: without user, password and query, which may be a signature. */
export const shown = (url: URL): string =>
  url.protocol === 'file:' ? url.href : `${url.origin}${url.pathname}`

/** Parses a URL given by the operator. @throws CONFIG_INVALID if it is not http, https or file */
export function parseAddress(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url && ['http:', 'https:', 'file:'].includes(url.protocol)) return url
  throw new NixeryError('CONFIG_INVALID', 'not a URL of the form http://…, https://… or file:///…')
}

/** The URL of a name below a base URL. */
export function below(base: URL, name: string): URL {
  const url = new URL(base)
  url.pathname = `${url.pathname.replace(/\/+$/, '')}/${name}`
  return url
}
