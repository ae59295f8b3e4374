import { fileEntries } from './cache/nar-reader.ts'
import { openThreadDecoders } from './cache/thread-decoders.ts'
import type { PathSource } from './contents.ts'
import type { Entry } from './entry.ts'
import { recordListing } from './listing.ts'
import { storePathEntries } from './local-entries.ts'

/** A store path that is being read. */
export type Reading = {
  /**
   * Depth first, the names of each directory in byte order, as in NARs and layers. Each entry is read completely before
   * the next one is requested.
   */
  readonly entries: Iterable<Entry>
  /** The listing in the format of `parseListing`, after all entries have been read; undefined if it is too large. */
  readonly listing: () => string | undefined
}

/** Reads store paths, synchronously: for worker threads only. */
export type ReadPath = (source: PathSource) => Reading

/** Loads the modules needed to read any source. */
export async function openReading(): Promise<ReadPath> {
  const decoders = await openThreadDecoders()
  return (source) => {
    const { entries, text } = recordListing(
      'nar' in source ? fileEntries(source.nar, decoders) : storePathEntries(source.storePath),
    )
    return { entries, listing: text }
  }
}
