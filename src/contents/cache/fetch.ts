import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { StorePath } from '../../image/store-path.ts'
import type { PartialDemand } from '../../queue/demand.ts'
import type { Limiter } from '../../queue/limiter.ts'
import type { NarSource } from '../contents.ts'
import type { Budget } from './budget.ts'
import type { InCache } from './caches.ts'
import { download, isAmong, largestFile, type DownloadOptions } from './download.ts'

/** Downloads at once, over all caches; narinfos are not counted. */
export const downloadsAtOnce = 8

/** What all contents of caches share. */
export type CacheRoom = {
  /** Where NARs lie while they are read. */
  readonly spoolDirectory: string
  /** Bytes that they may take there. */
  readonly budget: Budget
  /** Bytes, besides those, of NARs that are downloaded before they are needed; see `createAhead`. */
  readonly budgetAhead: Budget
  /** Downloads at once, over all caches. */
  readonly downloads: Limiter
  /** Compressions that packing threads expand; files in others are expanded on their way. */
  readonly inThreads: DownloadOptions['inThreads']
  /** Paths that are downloaded before they are needed, by the hash of their NAR. */
  readonly ahead: Set<string>
}

/** A NAR that has come. */
export type Downloaded = {
  readonly cache: string
  readonly path: StorePath
  /** As they came over the network. */
  readonly bytes: number
  readonly ms: number
}

/** Hears of downloads. */
export type DownloadListener = {
  /** Bytes have come. */
  readonly onBytes: (count: number) => void
  readonly onDownloaded: (one: Downloaded) => void
}

/**
 * Downloads a path's NAR when it is its turn.
 * @throws as `download` does
 */
export function fetchNar(
  found: InCache,
  { downloads, spoolDirectory, inThreads }: Pick<CacheRoom, 'downloads' | 'spoolDirectory' | 'inThreads'>,
  { onBytes, onDownloaded }: DownloadListener,
  demand: PartialDemand,
): Promise<NarSource> {
  return downloads.run(async () => {
    const started = performance.now()
    let bytes = 0
    const source = await download(found, join(spoolDirectory, randomUUID()), {
      ...demand,
      inThreads,
      onBytes(count) {
        bytes += count
        onBytes(count)
      },
    })
    const { cache, storePath: path } = source
    onDownloaded({ cache, path, bytes, ms: performance.now() - started })
    return source
  }, demand)
}

/** Bytes that a NAR takes in the spool: expanded, or as the file is. */
export const spooledSize = (
  { compression, narinfo }: InCache,
  { inThreads }: Pick<CacheRoom, 'inThreads'>,
): number =>
  isAmong(inThreads, compression)
    ? Math.min(narinfo.fileSize ?? narinfo.narSize, largestFile(narinfo.narSize))
    : narinfo.narSize

/** A NAR in the spool, and what removes it there. */
export type SpooledNar = { readonly source: NarSource; readonly release: () => Promise<void> }

/** @param giveBack returns the bytes that it takes to their budget */
export const holding = (source: NarSource, giveBack: () => void): SpooledNar => ({
  source,
  async release() {
    await rm(source.file, { force: true })
    giveBack()
  },
})
