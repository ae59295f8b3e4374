import { sql, type Kysely } from 'kysely'
import type { Lead } from './lead.ts'
import type { Tables } from './schema.ts'

export type LeadOptions = {
  /** Identifies this process among all that use the database. */
  readonly owner: string
  /** Seconds after which a leader that does not renew its lead loses it. */
  readonly term?: number
}

/** Milliseconds since 1970, by the clock of the database, because the clocks of replicas may differ. */
const now = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`

/**
 * Takes the lead for a task that only one replica at a time performs, and keeps it until it is released or lost, or the
 * process ends. It is lost if it could not be renewed in the database in time.
 * @returns undefined if another process has it
 */
export async function takeLead(
  db: Kysely<Tables>,
  name: string,
  { owner, term = 30 }: LeadOptions,
): Promise<Lead | undefined> {
  const takenAt = performance.now()
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
  // Shorter than the term in the database, after which another process may start. It is measured from before the statement
  // is sent, because its response may take long.
  const shorter = (term * 1000 * 2) / 3
  let deadline: NodeJS.Timeout | undefined
  const isHeldSince = (time: number) => {
    clearTimeout(deadline)
    const left = Math.max(0, shorter - (performance.now() - time))
    deadline = setTimeout(() => lose('the lead could not be renewed in time'), left).unref()
  }
  const lose = (why: string) => {
    stop()
    lost.abort(new Error(`another process may have taken over this task: ${why}`))
  }
  const renew = async () => {
    const sentAt = performance.now()
    const { numUpdatedRows } = await db
      .updateTable('leaders')
      .set({ held_until: until })
      .where('name', '=', name)
      .where('owner', '=', owner)
      .executeTakeFirst()
    if (numUpdatedRows === 0n) lose('the database says so')
    else if (!lost.signal.aborted) isHeldSince(sentAt)
  }
  const timer = setInterval(() => void renew().catch(() => {}), (term * 1000) / 4).unref()
  const stop = () => {
    clearInterval(timer)
    clearTimeout(deadline)
  }
  isHeldSince(takenAt)
  return {
    lost: lost.signal,
    async release() {
      stop()
      // If this fails, the lead expires.
      const ending = db.deleteFrom('leaders').where('name', '=', name).where('owner', '=', owner)
      await ending.execute().catch(() => {})
    },
  }
}
