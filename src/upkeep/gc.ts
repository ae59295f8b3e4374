import { setImmediate as breathe } from 'node:timers/promises'
import { batchesOf } from '../catalog/batches.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { NixeryError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { openSpool } from '../store/spool.ts'
import { storeError } from '../store/store.ts'
import { describe, type Collected } from './collected.ts'
import { decideInSteps, type Decision } from './decide.ts'
import { deleteBlobs, type DeletionDeps } from './deletion.ts'
import { forgetRows, type ForgetDeps, type ForgetOptions, type Forgotten } from './forget.ts'
import { reasonsOf } from './reasons.ts'
import { survey, type Survey } from './survey.ts'
import { grace } from './uses.ts'

export type CollectDeps = DeletionDeps & {
  readonly catalog: Pick<Catalog, 'upkeep' | 'rememberImage'>
}

export type CollectOptions = {
  /** Days for which an image is kept after its last pull; for ever, if not given. */
  readonly keepDays?: number | undefined
  /** Bytes of all blobs above which images go that were not pulled for longest. */
  readonly sizeLimit?: number | undefined
  /** Days for which resolutions and facts of paths are kept after their last use; not forgotten, if not given. */
  readonly rowDays?: number | undefined
  /** Nothing is changed. */
  readonly dryRun: boolean
  /** Seconds since 1970. */
  readonly now: number
  readonly signal?: AbortSignal | undefined
}

/** Another process, or this one, cleans up the same catalog at this moment. */
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
 * Removes images that are not pulled any more, blobs that nothing refers to, and what interrupted builds have left.
 * Everything is forgotten before it is deleted, manifests before what they refer to. So it may be interrupted
 * anywhere, and other processes may pull and build meanwhile: what they find gone they make again.
 * @throws STORE_UNAVAILABLE when the store or the catalog fails, OtherGc, and the signal's reason
 */
export async function collect(deps: CollectDeps, options: CollectOptions): Promise<Collected> {
  return alone(deps, () => collectAlone(deps, options))
}

/**
 * Forgets what the catalog has not used for long, and leaves images and blobs alone.
 * @throws STORE_UNAVAILABLE when the catalog fails, OtherGc, and the signal's reason
 */
export async function collectRows(deps: ForgetDeps, options: ForgetOptions): Promise<Forgotten> {
  return alone({ catalog: deps }, () => forgetRows(deps, options))
}

async function alone<T>(
  { catalog }: { readonly catalog: Pick<Catalog, 'upkeep'> },
  work: () => Promise<T>,
): Promise<T> {
  const release = await catalog.upkeep.lock()
  if (!release) throw new OtherGc()
  try {
    return await work()
  } finally {
    release()
  }
}

async function collectAlone(deps: CollectDeps, options: CollectOptions): Promise<Collected> {
  const { catalog, store, uses } = deps
  const { keepDays, sizeLimit, rowDays, dryRun, now, signal } = options
  const isUsed = (digest: Digest) => uses?.isUsed(digest) ?? false
  const found = await survey({ catalog, store, signal }, isUsed, now)
  const inUse = (place: number) => {
    const blob = found.blobs[place]
    return blob !== undefined && isUsed(blob.digest)
  }
  const decision = await unhurried(
    decideInSteps({
      ...found,
      inUse,
      now,
      grace,
      keep: keepDays === undefined ? undefined : keepDays * daySeconds,
      limit: sizeLimit,
    }),
  )
  const reasons = reasonsOf(found, decision, { inUse, now, grace })
  const told = { ...(await describe(catalog.upkeep, found, decision)), reasons }
  if (dryRun) return { ...told, leftovers: 0, forgotten: { resolutions: 0, paths: 0 } }

  await forgetImages(deps, found, decision, options)
  const { deleted, size } = await deleteBlobs(deps, found, decision, options)
  const leftovers = await openSpool(store.spoolDirectory).catch((error: unknown) => {
    throw storeError(error, 'cleaning the folder of unfinished files')
  })
  const forgotten =
    rowDays === undefined
      ? { resolutions: 0, paths: 0 }
      : await forgetRows(catalog, { days: rowDays, now, signal })
  const { blobs, blobsKept } = told
  return {
    ...told,
    blobs: { count: deleted, size },
    blobsKept: {
      count: blobsKept.count + blobs.count - deleted,
      size: blobsKept.size + blobs.size - size,
    },
    leftovers,
    forgotten,
  }
}

/** Runs the steps with time between them for others. */
async function unhurried<T>(steps: Generator<void, T>): Promise<T> {
  for (;;) {
    const step = steps.next()
    if (step.done) return step.value
    await breathe()
  }
}

async function forgetImages(
  { catalog }: CollectDeps,
  { roots, indexes, lost, found }: Survey,
  going: Decision,
  { now, signal }: CollectOptions,
): Promise<void> {
  const blobs = new Set(going.blobs)
  const keys = new Set([
    ...going.roots.flatMap((place) => roots[place]?.key ?? []),
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
