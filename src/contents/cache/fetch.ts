import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { StorePath } from '../../image/store-path.ts'
import type { PartialDemand } from '../../queue/demand.ts'
import { createLimiter, type Limiter } from '../../queue/limiter.ts'
import type { NarSource } from '../contents.ts'
import { createBudget, type Budget } from './budget.ts'
import type { InCache } from './caches.ts'
import { download, isAmong, largestFile, type DownloadOptions } from './download.ts'

/**
 * Downloads at once by size, over all caches; narinfos are not counted. Small files wait for round trips, so many are
 * downloaded at once. Large ones share the bandwidth: the fewer there are, the earlier the first can be packed.
 */
export const downloadsAtOnce = { small: 12, large: 4 } as const

/** The size of a large file in bytes. */
const largeFrom = 1024 * 1024
/** Files up to this size stay in memory until they are packed: writing and removing one takes longer than packing it. */
const mostInMemory = 256 * 1024
/** The maximum size of all files in memory, in bytes. */
const memoryForFiles = 32 * 1024 * 1024

/** What the contents of all caches share. */
export type CacheRoom = {
  /** The folder for NARs while they are read. */
  readonly spoolDirectory: string
  /** The maximum size of NARs in this folder in bytes. */
  readonly budget: Budget
  /** The maximum size of small NARs in memory in bytes; the others are in the folder. */
  readonly memory: Budget
  /** The additional limit in bytes for NARs that are downloaded in advance; see `createAhead`. */
  readonly budgetAhead: Budget
  /** Limit the concurrent downloads from all caches; see `createDownloads`. */
  readonly downloads: Downloads
  /** Compressions that packing threads expand; other files are expanded during the download. */
  readonly inThreads: DownloadOptions['inThreads']
  /** Paths that are downloaded in advance, by the hash of their NAR. */
  readonly ahead: Set<string>
}

/** A limiter for each size of files. */
export type Downloads = Readonly<Record<keyof typeof downloadsAtOnce, Limiter>>

/** The budget of NARs in memory. */
export const createMemory = (): Budget => createBudget(memoryForFiles)

export const createDownloads = (): Downloads => ({
  small: createLimiter(downloadsAtOnce.small),
  large: createLimiter(downloadsAtOnce.large),
})

/** The limiter of a file. */
export const laneOf = ({ narinfo }: Pick<InCache, 'narinfo'>): keyof Downloads =>
  (narinfo.fileSize ?? narinfo.narSize) < largeFrom ? 'small' : 'large'

/** A downloaded NAR. */
export type Downloaded = {
  readonly cache: string
  readonly path: StorePath
  /** The number of bytes received over the network. */
  readonly bytes: number
  readonly ms: number
}

/** Receives the progress of downloads. */
export type DownloadListener = {
  /** Called when bytes have arrived. */
  readonly onBytes: (count: number) => void
  readonly onDownloaded: (one: Downloaded) => void
}

/**
 * Downloads a path's NAR when it is its turn.
 * @throws like `download`
 */
export function fetchNar(
  found: InCache,
  room: Pick<CacheRoom, 'downloads' | 'spoolDirectory' | 'memory' | 'inThreads'>,
  { onBytes, onDownloaded }: DownloadListener,
  demand: PartialDemand,
): Promise<SpooledNar> {
  return room.downloads[laneOf(found)].run(async () => {
    const started = performance.now()
    let bytes = 0
    const size = spooledSize(found, room)
    const giveBack = size <= mostInMemory ? room.memory.takeNow(size) : undefined
    const file = join(room.spoolDirectory, randomUUID())
    try {
      const source = await download(found, file, {
        ...demand,
        inThreads: room.inThreads,
        inMemory: giveBack !== undefined,
        onBytes(count) {
          bytes += count
          onBytes(count)
        },
      })
      const { cache, storePath: path } = source
      onDownloaded({ cache, path, bytes, ms: performance.now() - started })
      return {
        source,
        async release() {
          if ('file' in source.content) await rm(source.content.file, { force: true })
          giveBack?.()
        },
      }
    } catch (error) {
      giveBack?.()
      throw error
    }
  }, demand)
}

/** The maximum size of a NAR in the spool in bytes, expanded or compressed. */
export const spooledSize = (
  { compression, narinfo }: InCache,
  { inThreads }: Pick<CacheRoom, 'inThreads'>,
): number =>
  isAmong(inThreads, compression)
    ? Math.min(narinfo.fileSize ?? Infinity, largestFile(narinfo.narSize))
    : narinfo.narSize

/** A NAR in the spool or in memory, and a function that removes it. */
export type SpooledNar = { readonly source: NarSource; readonly release: () => Promise<void> }
