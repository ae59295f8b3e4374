import { setTimeout as delay } from 'node:timers/promises'
import { batchesOf } from '../catalog/batches.ts'
import type { Catalog, CatalogRows, ImageKey } from '../catalog/catalog.ts'
import { dayOf } from '../catalog/row-uses.ts'
import type { StorePath } from '../image/store-path.ts'

export type ForgetDeps = Pick<Catalog, 'upkeep'>

export type ForgetOptions = {
  /** Days for which a row is kept after the day of its last use. */
  readonly days: number
  /** Seconds since 1970. */
  readonly now: number
  readonly signal?: AbortSignal | undefined
}

/** How many rows were forgotten. */
export type Forgotten = { readonly resolutions: number; readonly paths: number }

/** Days after its last use for which the resolutions of a revision are kept, while another one is in use. */
export const revisionDays = 14

// Each statement takes a few milliseconds, for which a server that has the same catalog cannot write to it.
const rowsAtOnce = 500
const pagesAtOnce = 200
const daySeconds = 86_400

/**
 * Forgets resolutions and facts of store paths that were not used for a number of days, and resolutions of revisions
 * that were superseded and not used for 14 days. All of it can be found out again. Facts of paths that an image needs
 * are kept for as long as the image is: Nix may have built such a path anew with other bytes, and the image would
 * get another digest. What binary caches said is forgotten by its age; that they do not have a path, after a day. A row without a day, from an earlier version, gets the day of the first run that meets it.
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

  let needed: ReadonlySet<StorePath> | undefined
  for (;;) {
    const unused = await step(() => rows.unusedPaths(before, rowsAtOnce))
    if (unused.length === 0) break
    const known = (needed ??= await neededPaths(rows, step))
    const kept = unused.filter((path) => known.has(path))
    const going = unused.filter((path) => !known.has(path))
    const gone = going.length === 0 ? 0 : await step(() => rows.forgetPaths(going, before))
    // They count as used today, so that the next runs need not ask whether an image needs them.
    if (kept.length > 0) {
      await step(() => rows.keepPaths(kept, today))
    }
    forgotten.paths += gone
    if (gone + kept.length === 0) break
  }
  const oldest = now - days * daySeconds
  while ((await step(() => rows.forgetCacheFiles(oldest, now - daySeconds, rowsAtOnce))) > 0);
  while (await step(() => rows.shrink(pagesAtOnce)));
  return forgotten
}

/** Runs one step of the work. */
type Step = <T>(work: () => Promise<T>) => Promise<T>

/** Leaves the database to others after each step for as long as the step took. */
function stepper(signal: AbortSignal | undefined): Step {
  return async (work) => {
    signal?.throwIfAborted()
    const start = performance.now()
    const result = await work()
    await delay(performance.now() - start)
    return result
  }
}

/** The revisions last used before a day, without the one that was used last of all: that may be the current one. */
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

/** The closure of all that images were made from, as far as its facts are known. */
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
