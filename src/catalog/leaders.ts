import { sql, type Kysely } from 'kysely'
import type { Lead } from './lead.ts'
import type { Tables } from './schema.ts'

export type LeadOptions = {
  /** This process, among all that use the database. */
  readonly owner: string
  /** Seconds for which a leader that no longer says that it is there counts as there. */
  readonly term?: number
}

/** Milliseconds since 1970, by the clock of the database: those of the replicas may differ. */
const now = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`

/**
 * Takes the lead in something that one replica does at a time, and keeps it until it is given back, lost, or the
 * process ends. It is lost when the database could not be told in time that this process is still there.
 * @returns undefined if another has it
 */
export async function takeLead(
  db: Kysely<Tables>,
  name: string,
  { owner, term = 30 }: LeadOptions,
): Promise<Lead | undefined> {
  const until = sql<number>`${now} + ${term * 1000}::bigint`
  const isTaken = await db
    .insertInto('leaders')
    .values({ name, owner, held_until: until })
    .onConflict((conflict) =>
      conflict.column('name').doUpdateSet({ owner, held_until: until }).where('leaders.held_until', '<', now),
    )
    .returning('owner')
    .executeTakeFirst()
  if (!isTaken) return undefined

  const lost = new AbortController()
  // Shorter than the database's: another may begin when that has ended.
  const shorter = (term * 1000 * 2) / 3
  let deadline: NodeJS.Timeout | undefined
  const isHeld = () => {
    clearTimeout(deadline)
    deadline = setTimeout(() => lose('the database could not be told in time'), shorter).unref()
  }
  const lose = (why: string) => {
    stop()
    lost.abort(new Error(`another process may do this now: ${why}`))
  }
  const renew = async () => {
    const { numUpdatedRows } = await db
      .updateTable('leaders')
      .set({ held_until: until })
      .where('name', '=', name)
      .where('owner', '=', owner)
      .executeTakeFirst()
    if (numUpdatedRows === 0n) lose('the database says so')
    else if (!lost.signal.aborted) isHeld()
  }
  const timer = setInterval(() => void renew().catch(() => {}), (term * 1000) / 4).unref()
  const stop = () => {
    clearInterval(timer)
    clearTimeout(deadline)
  }
  isHeld()
  return {
    lost: lost.signal,
    async release() {
      stop()
      // If this fails, it ends by itself.
      const ending = db.deleteFrom('leaders').where('name', '=', name).where('owner', '=', owner)
      await ending.execute().catch(() => {})
    },
  }
}
