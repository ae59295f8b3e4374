import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { PathFacts, StorePath } from '../../image/store-path.ts'
import type { PartialDemand } from '../../queue/demand.ts'
import type { Limiter } from '../../queue/limiter.ts'
import type { Contents, NarSource, OpenPaths, PathSource } from '../contents.ts'
import { parseListing, type Listing } from '../listing.ts'
import type { Budget } from './budget.ts'
import type { InCache } from './caches.ts'
import { download, isAmong, largestFile, type DownloadOptions } from './download.ts'
import { readHead } from './nar-reader.ts'

/** What all contents of caches share. */
export type CacheRoom = {
  /** Where NARs lie while they are read. */
  readonly spoolDirectory: string
  /** Bytes that they may take there. */
  readonly budget: Budget
  /** Downloads at once, over all caches. */
  readonly downloads: Limiter
  /** Compressions that packing threads expand; files in others are expanded on their way. */
  readonly inThreads: DownloadOptions['inThreads']
}

/** A NAR that has come. */
export type Downloaded = {
  readonly cache: string
  readonly path: StorePath
  /** As they came over the network. */
  readonly bytes: number
  readonly ms: number
}

export type CachedOptions = PartialDemand & {
  /** The listings of these paths that are known. */
  readonly listings: (facts: readonly PathFacts[]) => Promise<ReadonlyMap<StorePath, string>>
  /** Reads a path to its end, for its listing. */
  readonly readListing: (source: PathSource) => Promise<string | undefined>
  /** Hears of bytes that came. */
  readonly onBytes: (count: number) => void
  readonly onDownloaded: (one: Downloaded) => void
}

/** What narinfos tell of paths that can be trusted, in the shape of a store's facts. */
export const factsOf = ({ narinfo: { storePath, narHash, narSize, references } }: InCache): PathFacts => ({
  storePath,
  narHash,
  narSize,
  references: [...references],
})

/**
 * The contents of store paths from binary caches. They are verified only when a path is read to its end, by packing and
 * `readListing`. So listings come from complete reads only.
 * @param paths a closure, as `walkCaches` finds it
 */
export function cacheContents(
  paths: ReadonlyMap<StorePath, InCache>,
  room: CacheRoom,
  options: CachedOptions,
): Contents {
  const all = [...paths.values()].map(factsOf)
  let known: Promise<ReadonlyMap<StorePath, string>> | undefined
  const listings = new Map<StorePath, Promise<Listing>>()
  const inCache = (path: StorePath): InCache => {
    const found = paths.get(path)
    if (!found) throw new Error(`not in the closure: ${path}`)
    return found
  }

  const fetch = async (path: StorePath, demand: PartialDemand, { inThreads } = room): Promise<NarSource> => {
    const found = inCache(path)
    return room.downloads.run(async () => {
      const started = performance.now()
      let bytes = 0
      const source = await download(found, join(room.spoolDirectory, randomUUID()), {
        ...demand,
        inThreads,
        onBytes(count) {
          bytes += count
          options.onBytes(count)
        },
      })
      options.onDownloaded({ cache: source.cache, path, bytes, ms: performance.now() - started })
      return source
    }, demand)
  }

  const open = async (wanted: readonly StorePath[], demand: PartialDemand): Promise<OpenPaths> => {
    const bytes = wanted.reduce((sum, path) => sum + spooledSize(inCache(path), room), 0)
    const giveBack = await room.budget.take(bytes, demand.signal)
    // The first that fails ends the others, and they are waited for: they hold files.
    const ending = new AbortController()
    const signal = demand.signal ? AbortSignal.any([demand.signal, ending.signal]) : ending.signal
    const settled = await Promise.allSettled(
      wanted.map((path) =>
        fetch(path, { ...demand, signal }).catch((error: unknown) => {
          ending.abort(error)
          throw error
        }),
      ),
    )
    const sources = settled.flatMap((one) => (one.status === 'fulfilled' ? [{ nar: one.value }] : []))
    const close = async () => {
      await Promise.all(sources.map(({ nar }) => rm(nar.file, { force: true })))
      giveBack()
    }
    if (sources.length === wanted.length) return { sources, close }
    await close()
    if (ending.signal.aborted) throw ending.signal.reason
    throw new Error('a download failed without a reason')
  }

  const listingOf = async (path: StorePath): Promise<Listing> => {
    known ??= options.listings(all)
    const kept = (await known).get(path)
    const parsed = kept === undefined ? undefined : parseListing(kept)
    if (parsed) return parsed
    const { sources, close } = await open([path], options)
    try {
      const [source] = sources
      const text = source && (await options.readListing(source))
      const listing = text === undefined ? undefined : parseListing(text)
      if (!listing) throw new Error(`${path} has too many names to be listed`)
      return listing
    } finally {
      await close()
    }
  }
  const at = async (path: string): Promise<{ listing: Listing; below: string } | undefined> => {
    const storePath = storePathOf(path)
    if (!paths.has(storePath)) return undefined
    const listing = listings.get(storePath) ?? listingOf(storePath)
    listings.set(storePath, listing)
    return { listing: await listing, below: path.slice(storePath.length) }
  }

  /** Of a file that listings do not have: so rarely that its NAR is downloaded once more, and read by this thread. */
  const headOf = async (path: string, most: number): Promise<Buffer> => {
    const storePath = storePathOf(path)
    const whole = { ...room, inThreads: new Set<never>() }
    const source = await fetch(storePath, options, whole)
    try {
      return readHead(source, path.slice(1), most)
    } finally {
      await rm(source.file, { force: true })
    }
  }

  return {
    facts: async () => all,
    open,
    async look(path) {
      const place = await at(path)
      return place?.listing.look(place.below)
    },
    async list(path) {
      const place = await at(path)
      const names = place?.listing.list(place.below)
      if (!names) throw new Error(`not a directory: ${path}`)
      return names
    },
    async read(path, most) {
      const place = await at(path)
      if (place?.listing.look(place.below)?.kind !== 'file') throw new Error(`not a file: ${path}`)
      const text = place.listing.text(place.below)
      return text === undefined ? headOf(path, most) : Buffer.from(text, 'latin1').subarray(0, most)
    },
  }
}

/** The store path that a path lies in. */
const storePathOf = (path: string): StorePath => (/^\/nix\/store\/[^/]+/.exec(path)?.[0] ?? '') as StorePath

/** Bytes that a NAR takes in the spool: expanded, or as the file is. */
const spooledSize = ({ compression, narinfo }: InCache, { inThreads }: CacheRoom): number =>
  isAmong(inThreads, compression)
    ? Math.min(narinfo.fileSize ?? narinfo.narSize, largestFile(narinfo.narSize))
    : narinfo.narSize
