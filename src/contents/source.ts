import type { PathSource } from './contents.ts'
import type { Entry } from './entry.ts'
import { storePathEntries } from './local-entries.ts'

/**
 * The entries of a store path, depth first, the names of each directory in byte order: that of NARs and of layers.
 * Each is read to its end before the next is asked for. Reads synchronously: for worker threads only.
 */
export const entriesOf = (source: PathSource): Iterable<Entry> => storePathEntries(source.storePath)
