import { setImmediate } from 'node:timers/promises'
import type { Catalog, CatalogRows } from '../catalog/catalog.ts'
import { createUpkeep, type Upkeep } from './schedule.ts'

// Seconds between sweeps, and limits for the rows of one statement and for the statements of a sweep: many more rows than
// clients can cause in that time, who need a new address for each. SQLite runs statements on the main thread, which handles
// requests in between.
const usualInterval = 60
const rowsAtOnce = 500
const mostBatches = 200

/**
 * Periodically removes rows that clients cause, and that expire within hours. Cleanups can be a day apart, or take long. The
 * catalog logs its failures.
 * @param interval seconds between two sweeps
 */
export const createSweep = ({ upkeep }: Pick<Catalog, 'upkeep'>, interval: number = usualInterval): Upkeep =>
  createUpkeep({
    interval,
    collect: ({ signal }) => sweep(upkeep.rows, signal),
    done() {},
    failed() {},
  })

async function sweep(rows: Pick<CatalogRows, 'forgetQuotaUses'>, signal?: AbortSignal): Promise<void> {
  for (let batch = 0; batch < mostBatches; batch += 1) {
    signal?.throwIfAborted()
    if ((await rows.forgetQuotaUses(rowsAtOnce)) < rowsAtOnce) return
    await setImmediate()
  }
}
