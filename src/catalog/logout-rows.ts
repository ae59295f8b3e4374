import { sql, type Kysely } from 'kysely'
import type { Logouts } from './logouts.ts'
import type { Tables } from './schema.ts'

// Those that expire last are kept, if there are more.
const mostLogouts = 100_000
const prefix = 'logout '
const isLogout = sql<boolean>`key like 'logout %'`

/** Times are stored with leading zeros, so that their order is that of the text. */
const textOf = (seconds: number): string => String(Math.ceil(seconds)).padStart(12, '0')

/** Logouts in the table of facts about the catalog, which earlier versions have, too. */
export const logoutsIn = (db: Kysely<Tables>): Logouts => ({
  async add(session, expiresAt) {
    await db
      .insertInto('about')
      .values({ key: prefix + session, value: textOf(expiresAt) })
      .onConflict((conflict) => conflict.column('key').doNothing())
      .execute()
    await db
      .deleteFrom('about')
      .where(isLogout)
      .where('value', '<', textOf(Date.now() / 1000))
      .execute()
    const excess = db
      .selectFrom('about')
      .select('key')
      .where(isLogout)
      .orderBy('value', 'desc')
      .orderBy('key')
      .limit(mostLogouts)
      .offset(mostLogouts)
    await db.deleteFrom('about').where('key', 'in', excess).execute()
  },
  async has(session) {
    const row = await db
      .selectFrom('about')
      .select('key')
      .where('key', '=', prefix + session)
      .executeTakeFirst()
    return row !== undefined
  },
})
