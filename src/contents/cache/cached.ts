import type { PathFacts, StorePath } from '../../image/store-path.ts'
import type { PartialDemand } from '../../queue/demand.ts'
import { storePathOf, type Contents, type OpenPaths, type PathSource } from '../contents.ts'
import { parseListing, type Listing } from '../listing.ts'
import type { Ahead } from './ahead.ts'
import type { InCache } from './caches.ts'
import { fetchNar, spooledSize, type CacheRoom, type DownloadListener } from './fetch.ts'
import { readHead } from './nar-reader.ts'

export type CachedOptions = PartialDemand &
  DownloadListener & {
    /** Returns the known listings of these paths. */
    readonly listings: (facts: readonly PathFacts[]) => Promise<ReadonlyMap<StorePath, string>>
    /** Reads a path completely, for its listing. */
    readonly readListing: (source: PathSource) => Promise<string | undefined>
    /** Downloads that have already started. */
    readonly ahead?: Pick<Ahead, 'take'> | undefined
  }

/** Facts from trusted narinfos, in the form of a store's facts. */
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

  const open = async (wanted: readonly StorePath[], demand: PartialDemand): Promise<OpenPaths> => {
    // The first failure cancels the others; wait for them, because they have open files.
    const ending = new AbortController()
    const signal = demand.signal ? AbortSignal.any([demand.signal, ending.signal]) : ending.signal
    const started = wanted.map((path) => options.ahead?.take(path, { signal }))
    const bytes = wanted.reduce(
      (sum, path, index) => sum + (started[index] ? 0 : spooledSize(inCache(path), room)),
      0,
    )
    const space = bytes > 0 ? room.budget.take(bytes, signal) : Promise.resolve(() => {})
    const settled = await Promise.allSettled(
      wanted.map(async (path, index) => {
        try {
          const already = started[index]
          if (already) return await already
          await space
          return await fetchNar(inCache(path), room, options, { ...demand, signal })
        } catch (error) {
          ending.abort(error)
          throw error
        }
      }),
    )
    const held = settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    const close = async () => {
      await Promise.all(held.map(({ release }) => release()))
      const giveBack = await space.catch(() => undefined)
      giveBack?.()
    }
    if (held.length === wanted.length) return { sources: held.map(({ source }) => ({ nar: source })), close }
    await close()
    if (ending.signal.aborted) throw ending.signal.reason
    throw new Error('a download failed without a reason')
  }

  const keptOf = async (path: StorePath): Promise<string | undefined> => {
    known ??= options.listings(all)
    // Another build may have packed a layer from the path since then.
    return (await known).get(path) ?? (await options.listings([factsOf(inCache(path))])).get(path)
  }
  const listingOf = async (path: StorePath): Promise<Listing> => {
    const kept = await keptOf(path)
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

  /** For a file that listings do not contain: so rare that its NAR is downloaded again, and read by this thread. */
  const headOf = async (path: string, most: number): Promise<Buffer> => {
    const storePath = storePathOf(path)
    const whole = { ...room, inThreads: new Set<never>() }
    const { source, release } = await fetchNar(inCache(storePath), whole, options, options)
    try {
      return readHead(source, path.slice(1), most)
    } finally {
      await release()
    }
  }

  return {
    isReadFirst: true,
    learn(path, text) {
      // At once: when the last path has been read, everything waits for the tree of links.
      const listing = parseListing(text)
      if (listing && !listings.has(path)) listings.set(path, Promise.resolve(listing))
    },
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
