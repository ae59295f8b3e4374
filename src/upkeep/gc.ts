import { setImmediate as breathe } from 'node:timers/promises'
import { batchesOf } from '../catalog/batches.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { NixeryError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { openSpool } from '../store/spool.ts'
import { storeError } from '../store/store.ts'
import { describe, type Collected } from './collected.ts'
import { decideInSteps, type Decision } from './decide.ts'
import { deleteMarked } from './delayed-deletion.ts'
import { deleteBlobs, type DeletionDeps } from './deletion.ts'
import { forgetRows, type ForgetOptions, type Forgotten } from './forget.ts'
import { reasonsOf } from './reasons.ts'
import { deleteOldIndexes } from './old-indexes.ts'
import { survey, type Survey } from './survey.ts'
import { grace } from './uses.ts'

export type CollectDeps = DeletionDeps & {
  readonly catalog: Pick<Catalog, 'upkeep' | 'searchIndexes' | 'rememberImage'>
}

export type CollectOptions = {
  /** For how many days an image is kept after its last pull; forever by default. */
  readonly keepDays?: number | undefined
  /** The limit for the total size of all blobs in bytes. Above it, the least recently pulled images are removed. */
  readonly sizeLimit?: number | undefined
  /** For how many days resolutions and facts of paths are kept after their last use; forever by default. */
  readonly rowDays?: number | undefined
  /**
   * Seconds between the collection that finds that a blob is not needed and one that deletes it, for a catalog that
   * several machines use: each of them may have it in memory. Without it, blobs are deleted at once.
   */
  readonly delay?: number | undefined
  /** The maximum number of removed images in the report; all by default. */
  readonly listed?: number | undefined
  /** Report only, and change nothing. */
  readonly dryRun: boolean
  /** Seconds since 1970. */
  readonly now: number
  readonly signal?: AbortSignal | undefined
}

/** Another garbage collection is running on the same catalog. */
export class OtherGc extends NixeryError {
  constructor() {
    super('STORE_UNAVAILABLE', 'another garbage collection is running on this catalog', {
      hint: 'wait until it has finished: a server runs one every NIXERY_GC_INTERVAL',
    })
  }
}

const daySeconds = 86_400
const imagesAtOnce = 100

/**
 * Removes images that are no longer pulled, unreferenced blobs, and files of interrupted builds. Blobs are removed from
 * the catalog before they are deleted, and manifests before the blobs that they refer to. So it can be interrupted at
 * any time, and other processes can pull and build in the meantime: they build missing blobs again.
 * @throws STORE_UNAVAILABLE when the store or the catalog fails, OtherGc, and the signal's reason
 */
export async function collect(deps: CollectDeps, options: CollectOptions): Promise<Collected> {
  return exclusively(deps, options.signal, (signal) => collectAll(deps, { ...options, signal }))
}

/**
 * Removes unused rows of the catalog and old search indexes, but no images and no other blobs.
 * @throws STORE_UNAVAILABLE when the store or the catalog fails, OtherGc, and the signal's reason
 */
export async function collectRows(
  deps: Pick<CollectDeps, 'catalog' | 'store'>,
  options: ForgetOptions,
): Promise<Forgotten> {
  return exclusively(deps, options.signal, async (signal) => {
    await deleteOldIndexes(deps, signal)
    return forgetRows(deps.catalog, { ...options, signal })
  })
}

async function exclusively<T>(
  { catalog }: { readonly catalog: Pick<Catalog, 'upkeep'> },
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const lead = await catalog.upkeep.lock('upkeep')
  if (!lead) throw new OtherGc()
  try {
    return await work(signal ? AbortSignal.any([signal, lead.lost]) : lead.lost)
  } finally {
    await lead.release()
  }
}

async function collectAll(deps: CollectDeps, options: CollectOptions): Promise<Collected> {
  const { catalog, store, uses } = deps
  const { keepDays, sizeLimit, rowDays, delay, listed, dryRun, now, signal } = options
  if (!dryRun) await deleteOldIndexes({ catalog, store }, signal)
  const isUsed = (digest: Digest) => uses?.isUsed(digest) ?? false
  const surveyed = await survey({ catalog, store, signal }, isUsed, now)
  const inUse = (place: number) => {
    const blob = surveyed.blobs[place]
    return blob !== undefined && isUsed(blob.digest)
  }
  const decision = await runYielding(
    decideInSteps({
      ...surveyed,
      inUse,
      now,
      grace,
      keep: keepDays === undefined ? undefined : keepDays * daySeconds,
      limit: sizeLimit,
    }),
  )
  const reasons = reasonsOf(surveyed, decision, { inUse, now, grace })
  const report = { ...(await describe(catalog.upkeep, surveyed, decision, listed)), reasons }
  if (dryRun) return { ...report, marked: 0, leftovers: 0, forgotten: { resolutions: 0, paths: 0 } }

  await forgetImages(deps, surveyed, decision, options)
  const { deleted, size } =
    delay === undefined
      ? await deleteBlobs(deps, surveyed, decision, options)
      : await deleteMarked(deps, surveyed, decision, { now, delay, signal })
  const leftovers = await openSpool(store.spoolDirectory).catch((error: unknown) => {
    throw storeError(error, 'removing unfinished files')
  })
  const forgotten =
    rowDays === undefined
      ? { resolutions: 0, paths: 0 }
      : await forgetRows(catalog, { days: rowDays, now, signal })
  const { blobs, blobsKept } = report
  return {
    ...report,
    blobs: { count: deleted, size },
    marked: delay === undefined ? 0 : blobs.count - deleted,
    blobsKept: {
      count: blobsKept.count + blobs.count - deleted,
      size: blobsKept.size + blobs.size - size,
    },
    leftovers,
    forgotten,
  }
}

/** Runs the steps, and yields to other work between them. */
async function runYielding<T>(steps: Generator<void, T>): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
    await breathe()
  }
}

async function forgetImages(
  { catalog }: CollectDeps,
  { roots, indexes, lost, found }: Survey,
  decision: Decision,
  { now, signal }: CollectOptions,
): Promise<void> {
  const blobs = new Set(decision.blobs)
  const keys = new Set([
    ...decision.roots.flatMap((place) => roots[place]?.key ?? []),
    ...indexes.filter(({ blob }) => blobs.has(blob)).map(({ key }) => key),
    ...lost,
  ])
  for (const { key, image, at } of found) {
    if (!keys.has(key)) await catalog.rememberImage(key, image, at)
  }
  for (const batch of batchesOf([...keys], imagesAtOnce)) {
    signal?.throwIfAborted()
    await catalog.upkeep.forgetImages(batch, Math.floor(now))
    await breathe()
  }
}
