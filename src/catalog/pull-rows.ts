import { sql, type Kysely } from 'kysely'
import type { Catalog } from './catalog.ts'
import { readRows, sizeOf, textOf } from './rows.ts'
import type { Tables } from './schema.ts'

/** What was pulled, and when. */
export function pullsIn(
  db: Kysely<Tables>,
): Pick<Catalog, 'rememberPulls' | 'rememberUses' | 'holds' | 'tags' | 'repositories' | 'mostPulled'> {
  return {
    async rememberPulls(pulls) {
      await db.transaction().execute(async (transaction) => {
        for (const { repository, tag, architecture, image, at, count, record } of pulls) {
          if (record) {
            await transaction
              .insertInto('images')
              .values({ key: image, image: JSON.stringify(record), made_at: at })
              .onConflict((conflict) => conflict.column('key').doNothing())
              .execute()
          }
          await transaction
            .insertInto('pulls')
            .values({ repository, tag, architecture, image, pulled_at: at, count })
            .onConflict((conflict) =>
              conflict.columns(['repository', 'tag', 'architecture']).doUpdateSet({
                image: sql`excluded.image`,
                pulled_at: sql`excluded.pulled_at`,
                count: sql`pulls.count + excluded.count`,
              }),
            )
            .execute()
          await transaction
            .insertInto('given')
            .values({ repository, image })
            .onConflict((conflict) => conflict.columns(['repository', 'image']).doNothing())
            .execute()
          await transaction
            .updateTable('images')
            .set({ pulled_at: at })
            .where('key', '=', image)
            .where((where) => where.or([where('pulled_at', 'is', null), where('pulled_at', '<', at)]))
            .execute()
        }
      })
    },

    async rememberUses(uses) {
      await db.transaction().execute(async (transaction) => {
        for (const [digest, at] of uses) {
          await transaction
            .updateTable('blobs')
            .set({ used_at: at })
            .where('digest', '=', digest)
            .where((where) => where.or([where('used_at', 'is', null), where('used_at', '<', at)]))
            .execute()
        }
      })
    },

    async holds(repository, digest) {
      // What was given before that was noted is in `pulls`, as far as nothing else was given since.
      const keys = db
        .selectFrom('given')
        .select('image')
        .where('repository', '=', repository)
        .union(db.selectFrom('pulls').select('image').where('repository', '=', repository))
      const row = await db
        .selectFrom('images')
        .select('key')
        .where('key', 'in', keys)
        .where('image', 'like', `%"${digest}"%`)
        .limit(1)
        .executeTakeFirst()
      return row !== undefined
    },

    async tags(repository, { after = '', limit }) {
      const rows = await db
        .selectFrom('pulls')
        .select('tag')
        .distinct()
        .where('repository', '=', repository)
        .where('tag', '>', after)
        .orderBy('tag')
        .limit(limit)
        .execute()
      return readRows(rows, ({ tag }) => textOf(tag))
    },

    async repositories({ after = '', limit }) {
      const rows = await db
        .selectFrom('pulls')
        .select('repository')
        .distinct()
        .where('repository', '>', after)
        .orderBy('repository')
        .limit(limit)
        .execute()
      return readRows(rows, ({ repository }) => textOf(repository))
    },

    async mostPulled(limit) {
      const rows = await db
        .selectFrom('pulls')
        .select((select) => ['repository', 'tag', select.fn.sum<number | string>('count').as('pulls')])
        .groupBy(['repository', 'tag'])
        .orderBy('pulls', 'desc')
        .orderBy('repository')
        .orderBy('tag')
        .limit(limit)
        .execute()
      return readRows(rows, (row) => {
        const repository = textOf(row.repository)
        const tag = textOf(row.tag)
        const pulls = sizeOf(Number(row.pulls))
        if (repository === undefined || tag === undefined || pulls === undefined) return undefined
        return { repository, tag, pulls }
      })
    },
  }
}
