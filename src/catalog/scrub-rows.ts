import type { Kysely } from 'kysely'
import type { Tables } from './schema.ts'
import type { ScrubResults } from './scrub-results.ts'

const key = 'scrub'

export const scrubsIn = (db: Kysely<Tables>): ScrubResults => ({
  async remember(result) {
    const value = JSON.stringify(result)
    await db
      .insertInto('about')
      .values({ key, value })
      .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
      .execute()
  },
  async last(parse) {
    const row = await db.selectFrom('about').select('value').where('key', '=', key).executeTakeFirst()
    return row && parse(row.value)
  },
})
