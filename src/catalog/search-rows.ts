import { sql, type Kysely } from 'kysely'
import type { Digest } from '../image/digest.ts'
import type { Parse } from './catalog.ts'
import type { SqlDatabase } from './migrate.ts'
import { readRows, searchIndexOf, textOf, valueOf } from './rows.ts'
import type { Tables } from './schema.ts'
import type { SearchIndexes, SearchSet } from './search-indexes.ts'

export function searchIndexesIn(
  db: Kysely<Tables>,
  { seconds: now }: Pick<SqlDatabase, 'seconds'>,
): SearchIndexes {
  const ago = (seconds: number) => sql<number>`${now} - cast(${seconds} as bigint)`
  return {
    async sets<T>(format: number, parse: Parse<T>) {
      const sets = await db.selectFrom('search_sets').selectAll().where('format', '=', format).execute()
      if (sets.length === 0) return new Map()
      const indexes = await db
        .selectFrom('search_indexes')
        .selectAll()
        .where('format', '=', format)
        .where('replaced_at', 'is', null)
        .orderBy('digest')
        .execute()
      const latest = new Map(indexes.map((row) => [row.set_name, searchIndexOf(row)]))
      return new Map(
        sets.map(({ set_name: name, rules, status }): [string, SearchSet<T>] => [
          name,
          {
            rules: rules === null ? undefined : textOf(rules),
            latest: latest.get(name),
            status: status === null ? undefined : valueOf(status, parse),
          },
        ]),
      )
    },

    async want(format, set, rules) {
      const known = rules === undefined ? {} : { rules }
      await db
        .insertInto('search_sets')
        .values({ set_name: set, format, wanted_at: now, ...known })
        .onConflict((conflict) =>
          conflict.columns(['set_name', 'format']).doUpdateSet({ wanted_at: now, ...known }),
        )
        .execute()
    },

    async report(format, set, status) {
      await db
        .updateTable('search_sets')
        .set({ status: status === undefined ? null : JSON.stringify(status) })
        .where('set_name', '=', set)
        .where('format', '=', format)
        .execute()
    },

    async add(format, set, { digest, ...index }) {
      const values = { ...index, set_name: set, format, replaced_at: null }
      await db.transaction().execute(async (transaction) => {
        await transaction
          .updateTable('search_indexes')
          .set({ replaced_at: now })
          .where('set_name', '=', set)
          .where('format', '=', format)
          .where('replaced_at', 'is', null)
          .execute()
        await transaction
          .insertInto('search_indexes')
          .values({ digest, ...values })
          .onConflict((conflict) => conflict.column('digest').doUpdateSet(values))
          .execute()
        await transaction
          .updateTable('search_sets')
          .set({ status: null })
          .where('set_name', '=', set)
          .where('format', '=', format)
          .execute()
      })
    },

    async forget(digests) {
      if (digests.length === 0) return
      await db.deleteFrom('search_indexes').where('digest', 'in', digests).execute()
    },

    async digests() {
      const rows = await db.selectFrom('search_indexes').select('digest').orderBy('digest').execute()
      return readRows(rows, ({ digest }) => digest as Digest)
    },

    async unneeded(replaced, unwanted) {
      const rows = await db
        .selectFrom('search_indexes')
        .select('digest')
        .where((where) =>
          where.or([
            where('replaced_at', '<=', ago(replaced)),
            where.not(
              where.exists(
                where
                  .selectFrom('search_sets')
                  .select('search_sets.set_name')
                  .whereRef('search_sets.set_name', '=', 'search_indexes.set_name')
                  .whereRef('search_sets.format', '=', 'search_indexes.format')
                  .where('search_sets.wanted_at', '>', ago(unwanted)),
              ),
            ),
          ]),
        )
        .orderBy('digest')
        .execute()
      return readRows(rows, ({ digest }) => digest as Digest)
    },
  }
}
