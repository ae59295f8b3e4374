import type { Config } from './config.ts'
import type { Digest } from './image/digest.ts'
import type { State } from './state.ts'
import type { BlobStore } from './store/store.ts'
import type { Cleanup } from './telemetry/cleanup-stats.ts'
import type { Logger } from './telemetry/log.ts'
import { deletionDelay } from './catalogs.ts'
import { collect, collectRows, OtherGc } from './upkeep/gc.ts'
import { createUpkeep, type Upkeep } from './upkeep/schedule.ts'

/**
 * Cleans up periodically. Images and blobs are removed only if configured; unused rows of the catalog are always
 * removed, because they can be computed again.
 */
export function cleanupOf(
  config: Config,
  { catalog, store, uses, blobs }: State,
  log: Logger,
  onCleanup: (cleanup: Cleanup) => void,
): Upkeep {
  const { NIXERY_KEEP: keepDays, NIXERY_STORE_LIMIT: sizeLimit, NIXERY_CATALOG_KEEP: rowDays } = config
  const interval = config.NIXERY_GC_INTERVAL
  const delay = deletionDelay(config)
  const failed = (error: unknown) => {
    const isOther = error instanceof OtherGc
    onCleanup({ result: isOther ? 'other' : 'failed' })
    if (isOther) log.info('another process is cleaning up')
    else log.error({ err: error }, 'cleaning up failed')
  }
  if (keepDays === undefined && sizeLimit === undefined) {
    return createUpkeep({
      interval,
      collect: async ({ now, signal }) => ({
        forgotten: await collectRows({ catalog, store }, { days: rowDays, now, signal }),
        kept: await sizeOf(store, signal),
      }),
      done({ forgotten, kept }, ms) {
        onCleanup({ result: 'done', removed: { images: 0, bytes: 0 }, kept })
        if (forgotten.resolutions + forgotten.paths === 0) return
        log.info({ forgotten, ms: Math.round(ms) }, 'deleted unused catalog entries')
      },
      failed,
    })
  }
  const deleting = (digest: Digest) => void blobs.doubt(digest)
  return createUpkeep({
    interval,
    collect: (options) =>
      collect(
        { catalog, store, uses, deleting },
        { ...options, listed: 0, keepDays, sizeLimit, rowDays, delay },
      ),
    done({ imagesRemoved, imagesKept, blobs: gone, blobsKept, marked, forgotten }, ms) {
      onCleanup({
        result: 'done',
        removed: { images: imagesRemoved, bytes: gone.size },
        kept: { images: imagesKept, blobs: blobsKept.count, bytes: blobsKept.size },
      })
      log.info(
        {
          images: imagesRemoved,
          blobs: gone.count,
          bytes: gone.size,
          ...(marked > 0 && { marked }),
          forgotten,
          ms: Math.round(ms),
        },
        'cleaned up',
      )
    },
    failed,
  })
}

/** The numbers of blobs and of their bytes, for the metrics. @throws STORE_UNAVAILABLE */
async function sizeOf(
  store: BlobStore,
  signal: AbortSignal | undefined,
): Promise<{ readonly blobs: number; readonly bytes: number }> {
  let [blobs, bytes] = [0, 0]
  for await (const { size } of store.list()) {
    signal?.throwIfAborted()
    blobs += 1
    bytes += size
  }
  return { blobs, bytes }
}
