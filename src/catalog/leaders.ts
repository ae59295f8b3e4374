import { sql, type Kysely } from 'kysely'
import type { Tables } from './schema.ts'

// Seconds for which a leader that does not say that it is still there counts as there.
const term = 30

/** Milliseconds since 1970, by the clock of the database: those of the replicas may differ. */
const now = sql<number>`(extract(epoch from clock_timestamp()) * 1000)::bigint`

/**
 * Takes the lead in something that one replica does at a time, and keeps it until it is given back or the process ends.
 * @returns what gives it back; undefined if another has it
 */
export async function holdLead(
  db: Kysely<Tables>,
  name: string,
  owner: string,
): Promise<(() => void) | undefined> {
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
  const renew = async () => {
    await db
      .updateTable('leaders')
      .set({ held_until: until })
      .where('name', '=', name)
      .where('owner', '=', owner)
      .execute()
  }
  const timer = setInterval(() => void renew().catch(() => {}), (term * 1000) / 3).unref()
  return () => {
    clearInterval(timer)
    void db
      .deleteFrom('leaders')
      .where('name', '=', name)
      .where('owner', '=', owner)
      .execute()
      .catch(() => {}) // then it ends by itself
  }
}
