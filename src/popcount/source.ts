import { hash } from 'node:crypto'
import { noPopularity, parsePopularity, type Popularity } from '../closure/popularity.ts'
import { NixeryError } from '../errors.ts'
import { createGet, parseAddress, shown, type Get } from './get.ts'

/** Popularity data that is kept up to date. */
export type PopularitySource = {
  /** The last good data. One build must ask once: the version of what it used is part of its image's key. */
  current(): Popularity
  /** Ends refreshing. */
  stop(): void
}

export type PopularityOptions = {
  /** http, https or file address of what popcount wrote; nothing is known without one. */
  readonly url: string | undefined
  /** Seconds from one refresh to the next. */
  readonly refreshSeconds: number
  /** Gets a line when data was loaded that differs from the last. */
  readonly note: (line: string) => void
  /** Gets a line when a refresh failed; the last good data stays. */
  readonly warn: (line: string) => void
  readonly get?: Get
}

// All of nixpkgs has 5 MB.
const largest = 128 * 1024 * 1024
const timeout = 120_000

/**
 * Loads the data and then refreshes it in the background, which never fails and keeps no process running.
 * @throws CONFIG_INVALID when the data cannot be had at start: without it every image would get other layers
 */
export async function createPopularity(options: PopularityOptions): Promise<PopularitySource> {
  if (options.url === undefined) return { current: () => noPopularity, stop: () => {} }
  const load = await loader(options.url, options.get ?? createGet())
  let current = load.first
  options.note(`popularity of ${current.counts.size} packages`)

  const end = new AbortController()
  let timer: NodeJS.Timeout | undefined
  const refresh = async () => {
    try {
      const next = await load.next(end.signal)
      if (next && next.version !== current.version) {
        current = next
        options.note(`popularity of ${current.counts.size} packages, refreshed`)
      }
    } catch (error) {
      if (end.signal.aborted) return
      const reason = error instanceof Error ? error.message : String(error)
      options.warn(`popularity data was not refreshed, the last is kept: ${reason}`)
    }
    schedule()
  }
  const schedule = () => {
    if (!end.signal.aborted) timer = setTimeout(() => void refresh(), options.refreshSeconds * 1000).unref()
  }
  schedule()

  return {
    current: () => current,
    stop() {
      clearTimeout(timer)
      end.abort()
    },
  }
}

type Loader = {
  readonly first: Popularity
  /** Undefined when nothing has changed. @throws SOURCE_INVALID, CONFIG_INVALID, the signal's reason */
  next(signal: AbortSignal): Promise<Popularity | undefined>
}

async function loader(text: string, get: Get): Promise<Loader> {
  let etag: string | undefined
  let digest: string | undefined
  const load = async (url: URL, signal?: AbortSignal): Promise<Popularity | undefined> => {
    const answer = await get(url, { limit: largest, timeout, etag, signal })
    if (answer.status === 304 && digest !== undefined) return undefined
    if (answer.status !== 200) {
      throw new NixeryError('SOURCE_INVALID', `cannot read ${shown(url)}: it answers ${answer.status}`)
    }
    // Parsing holds up all else for some tenths of a second; many servers of files give no ETag.
    const found = hash('sha256', answer.body)
    const popularity = found === digest ? undefined : parsePopularity(answer.body.toString())
    // Only now: what could not be parsed must not count as known.
    etag = answer.etag
    digest = found
    return popularity
  }

  try {
    const url = parseAddress(text)
    const first = await load(url)
    return { first: first ?? noPopularity, next: (signal) => load(url, signal) }
  } catch (error) {
    const { message, hint } =
      error instanceof NixeryError ? error : { message: String(error), hint: undefined }
    throw new NixeryError('CONFIG_INVALID', `NIX_POPULARITY_URL: ${message}`, {
      cause: error,
      ...(hint !== undefined && { hint }),
    })
  }
}
