import { hash } from 'node:crypto'
import { noPopularity, parsePopularity, type Popularity } from '../closure/popularity.ts'
import { NixeryError, isNixeryError } from '../errors.ts'
import { copyIn, type Copy } from './copy.ts'
import { createGet, parseAddress, shown, type Get } from './get.ts'

/** Popularity data that can be refreshed. */
export type PopularitySource = {
  /** The last good data. A build must call this once: the version of the data is part of the image's key. */
  current(): Popularity
  /** Checks for new data soon, because others may have it; at most twice a minute. */
  refresh(): void
  /** Checks for new data periodically, until it is stopped. Of several processes one does, and the others hear of it. */
  poll(): { stop(): void }
  /** Stops refreshing. */
  stop(): void
}

export type PopularityOptions = {
  /** http, https or file URL of the output of popcount; without one there is no popularity data. */
  readonly url: string | undefined
  /** Seconds between two checks while polling. */
  readonly refreshSeconds: number
  /** Called with a line when new data was loaded. */
  readonly note: (line: string) => void
  /** Called with a line when a refresh failed; the last good data stays in use. */
  readonly warn: (line: string) => void
  readonly get?: Get
  /** Folder for a copy of the last good data, which is used if the URL is unreachable at startup. */
  readonly copyFolder?: string
}

// Bytes. The data of all of nixpkgs is 5 MB.
const largest = 128 * 1024 * 1024
const timeout = 120_000
// Milliseconds between two checks that others request.
const shortestPause = 30_000

/**
 * Loads the data, or its copy. It is refreshed in the background, which never throws, and does not keep the process alive.
 * @throws CONFIG_INVALID if both are unavailable at startup: without data, every image would get different layers
 */
export async function createPopularity(options: PopularityOptions): Promise<PopularitySource> {
  if (options.url === undefined) {
    return { current: () => noPopularity, refresh() {}, poll: () => ({ stop() {} }), stop() {} }
  }
  const copy = options.copyFolder === undefined ? undefined : copyIn(options.copyFolder, options.url)
  const load = await loader(options.url, options.get ?? createGet(), copy, options.warn)
  let current = load.first
  options.note(`popularity of ${current.counts.size} packages`)

  const end = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let refreshing = false
  let polling = false
  let last = performance.now()
  const refresh = async () => {
    refreshing = true
    try {
      const next = await load.next(end.signal)
      if (next && next.version !== current.version) {
        current = next
        options.note(`popularity of ${current.counts.size} packages, refreshed`)
      }
    } catch (error) {
      if (end.signal.aborted) return
      options.warn(`popularity data was not refreshed; the last good data stays in use: ${messageOf(error)}`)
    }
    refreshing = false
    last = performance.now()
    schedule()
  }
  const schedule = () => {
    if (!polling || refreshing || end.signal.aborted) return
    clearTimeout(timer)
    timer = setTimeout(() => void refresh(), options.refreshSeconds * 1000).unref()
  }

  return {
    current: () => current,
    refresh() {
      if (refreshing || performance.now() - last < shortestPause) return
      clearTimeout(timer)
      void refresh()
    },
    poll() {
      polling = true
      schedule()
      return {
        stop() {
          polling = false
          clearTimeout(timer)
        },
      }
    },
    stop() {
      clearTimeout(timer)
      end.abort()
    },
  }
}

type Loader = {
  readonly first: Popularity
  /** New data; undefined if nothing has changed. @throws SOURCE_INVALID, CONFIG_INVALID, the signal's reason */
  next(signal: AbortSignal): Promise<Popularity | undefined>
}

async function loader(
  text: string,
  get: Get,
  copy: Copy | undefined,
  warn: (line: string) => void,
): Promise<Loader> {
  let etag: string | undefined
  let digest: string | undefined
  const load = async (url: URL, signal?: AbortSignal): Promise<Popularity | undefined> => {
    const answer = await get(url, { limit: largest, timeout, etag, signal })
    if (answer.status === 304 && digest !== undefined) return undefined
    if (answer.status !== 200) {
      throw new NixeryError('SOURCE_INVALID', `cannot read ${shown(url)}: it responded with ${answer.status}`)
    }
    // Avoids parsing unchanged data, which blocks for some tenths of a second: many file servers send no ETag.
    const newDigest = hash('sha256', answer.body)
    if (newDigest === digest) return undefined
    const body = answer.body.toString()
    const popularity = parsePopularity(body)
    // Set only after parsing has succeeded: invalid data must not count as current.
    etag = answer.etag
    digest = newDigest
    await copy?.write(body).catch((error: unknown) => {
      warn(`popularity data: no copy was stored: ${messageOf(error)}`)
    })
    return popularity
  }

  try {
    const url = parseAddress(text)
    const next = (signal: AbortSignal) => load(url, signal)
    const first = await load(url).catch(async (error: unknown) => {
      const kept = await copy?.read()
      if (kept === undefined) throw error
      warn(`NIX_POPULARITY_URL: ${messageOf(error)}; using the last copy`)
      return parsePopularity(kept)
    })
    return { first: first ?? noPopularity, next }
  } catch (error) {
    throw new NixeryError('CONFIG_INVALID', `NIX_POPULARITY_URL: ${messageOf(error)}`, {
      cause: error,
      ...(isNixeryError(error) && error.hint !== undefined && { hint: error.hint }),
    })
  }
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
