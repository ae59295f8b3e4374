import { fileEntries } from './cache/nar-reader.ts'
import { openThreadDecoders } from './cache/thread-decoders.ts'
import type { PathSource } from './contents.ts'
import type { Entry } from './entry.ts'
import { recordListing } from './listing.ts'
import { storePathEntries } from './local-entries.ts'

/** A store path while it is read. */
export type Reading = {
  /**
   * Depth first, the names of each directory in byte order: that of NARs and of layers. Each is read to its end before
   * the next is requested.
   */
  readonly entries: Iterable<Entry>
  /**
   * What lies where, when all entries were read, as `parseListing` reads it; undefined if it is too large.
   */
  readonly listing: () => string | undefined
}

/** Reads store paths, synchronously: for worker threads only. */
export type ReadPath = (source: PathSource) => Reading

/** Loads the modules that are needed to read any source. */
export async function openReading(): Promise<ReadPath> {
  const decoders = await openThreadDecoders()
  return (source) => {
    const { entries, text } = recordListing(
      'nar' in source ? fileEntries(source.nar, decoders) : storePathEntries(source.storePath),
    )
    return { entries, listing: text }
  }
}
