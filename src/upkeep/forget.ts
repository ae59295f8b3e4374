import { setTimeout as delay } from 'node:timers/promises'
import { batchesOf } from '../catalog/batches.ts'
import type { Catalog, CatalogRows, ImageKey } from '../catalog/catalog.ts'
import { dayOf } from '../catalog/row-uses.ts'
import type { StorePath } from '../image/store-path.ts'

export type ForgetDeps = Pick<Catalog, 'upkeep'>

export type ForgetOptions = {
  /** For how many days a row is kept after the day of its last use. */
  readonly days: number
  /** Seconds since 1970. */
  readonly now: number
  readonly signal?: AbortSignal | undefined
}

/** The numbers of removed rows. */
export type Forgotten = { readonly resolutions: number; readonly paths: number }

/** For how many days the resolutions of a superseded revision are kept after their last use. */
export const revisionDays = 14

// Each statement takes a few milliseconds, during which a server with the same catalog cannot write.
const rowsAtOnce = 500
const pagesAtOnce = 200
const daySeconds = 86_400

/**
 * Removes resolutions and facts of store paths that were not used for a number of days, and resolutions of superseded
 * revisions that were not used for 14 days. All of them can be computed again. Facts of paths that an image needs are kept
 * as long as the image: if Nix builds such a path again with different bytes, the image would get another digest. Rows of
 * earlier versions have no day of last use; they get the day of the first run. Responses of
 * binary caches are removed by their age, and those about missing paths after a day.
 *
 * @throws STORE_UNAVAILABLE when the catalog fails, and the signal's reason
 */
export async function forgetRows(catalog: ForgetDeps, options: ForgetOptions): Promise<Forgotten> {
  const { days, now, signal } = options
  const { rows } = catalog.upkeep
  const step = stepper(signal)
  const today = dayOf(now)
  const before = today - Math.floor(days)

  while ((await step(() => rows.giveDay(today, rowsAtOnce))) > 0);
  const forgotten = { resolutions: 0, paths: 0 }
  const forgetResolutions = async (last: number, revision?: string) => {
    for (let count = 1; count > 0;) {
      count = await step(() => rows.forgetResolutions(last, rowsAtOnce, revision))
      forgotten.resolutions += count
    }
  }
  await forgetResolutions(before)
  for (const revision of await supersededRevisions(rows, today - revisionDays, step)) {
    await forgetResolutions(today - revisionDays, revision)
  }

  let ofImages: ReadonlySet<StorePath> | undefined
  for (;;) {
    const unused = await step(() => rows.unusedPaths(before, rowsAtOnce))
    if (unused.length === 0) break
    const closure = (ofImages ??= await neededPaths(rows, step))
    const needed = unused.filter((path) => closure.has(path))
    const unneeded = unused.filter((path) => !closure.has(path))
    const removed = unneeded.length === 0 ? 0 : await step(() => rows.forgetPaths(unneeded, before))
    // They count as used today, so that the next runs need not check them again.
    if (needed.length > 0) {
      await step(() => rows.keepPaths(needed, today))
    }
    forgotten.paths += removed
    if (removed + needed.length === 0) break
  }
  const oldest = now - days * daySeconds
  while ((await step(() => rows.forgetCacheFiles(oldest, now - daySeconds, rowsAtOnce))) > 0);
  while ((await step(() => rows.forgetQuotaUses(rowsAtOnce))) > 0);
  while (await step(() => rows.shrink(pagesAtOnce)));
  return forgotten
}

/** Runs one step of the work. */
type Step = <T>(work: () => Promise<T>) => Promise<T>

/** After each step, leaves the database to other processes for as long as the step took. */
function stepper(signal: AbortSignal | undefined): Step {
  return async (work) => {
    signal?.throwIfAborted()
    const start = performance.now()
    const result = await work()
    await delay(performance.now() - start)
    return result
  }
}

/** The revisions that were last used before this day, except the most recently used one, which may be the current one. */
async function supersededRevisions(rows: CatalogRows, before: number, step: Step): Promise<string[]> {
  const revisions: { readonly revision: string; readonly usedOn: number }[] = []
  for (let after = ''; ;) {
    const next = await step(() => rows.nextRevision(after))
    if (!next) break
    revisions.push(next)
    after = next.revision
  }
  const newest = revisions.reduce((last, { usedOn }) => Math.max(last, usedOn), 0)
  return revisions.filter(({ usedOn }) => usedOn < before && usedOn < newest).map(({ revision }) => revision)
}

/** The closures of all images, as far as their facts are known. */
async function neededPaths(rows: CatalogRows, step: Step): Promise<Set<StorePath>> {
  const needed = new Set<StorePath>()
  let frontier: StorePath[] = []
  const add = (paths: readonly StorePath[]) => {
    for (const path of paths) {
      if (needed.has(path)) continue
      needed.add(path)
      frontier.push(path)
    }
  }
  for (let after: ImageKey | undefined; ;) {
    const page = { ...(after !== undefined && { after }), limit: rowsAtOnce }
    const images = await step(() => rows.imageRoots(page))
    for (const { roots } of images) add(roots)
    after = images.at(-1)?.key
    if (after === undefined) break
  }
  while (frontier.length > 0) {
    const layer = frontier
    frontier = []
    for (const batch of batchesOf(layer, rowsAtOnce)) add(await step(() => rows.references(batch)))
  }
  return needed
}
