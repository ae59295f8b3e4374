import { sql, type Insertable, type Kysely } from 'kysely'
import { batchesOf, inOrder } from './batches.ts'
import type { Catalog, ImageKey, Pull } from './catalog.ts'
import { readRows, sizeOf, textOf } from './rows.ts'
import type { Tables } from './schema.ts'

// Rows per statement.
const rowsAtOnce = 500

/** Pulls and their times. */
export function pullsIn(
  db: Kysely<Tables>,
): Pick<Catalog, 'rememberPulls' | 'rememberUses' | 'tags' | 'repositories' | 'mostPulled'> {
  return {
    async rememberPulls(pulls) {
      const rows = rowsOf(pulls)
      await db.transaction().execute(async (transaction) => {
        for (const batch of batchesOf(rows.images, rowsAtOnce)) {
          await transaction
            .insertInto('images')
            .values(batch)
            .onConflict((conflict) => conflict.column('key').doNothing())
            .execute()
        }
        for (const batch of batchesOf(rows.pulls, rowsAtOnce)) {
          await transaction
            .insertInto('pulls')
            .values(batch)
            .onConflict((conflict) =>
              conflict.columns(['repository', 'tag', 'architecture']).doUpdateSet({
                image: sql`excluded.image`,
                pulled_at: sql`excluded.pulled_at`,
                count: sql`pulls.count + excluded.count`,
              }),
            )
            .execute()
        }
        for (const batch of batchesOf(rows.given, rowsAtOnce)) {
          await transaction
            .insertInto('given')
            .values(batch)
            .onConflict((conflict) => conflict.columns(['repository', 'image']).doNothing())
            .execute()
        }
        await setTimes(transaction, 'images', rows.times)
      })
    },

    async rememberUses(uses) {
      await db.transaction().execute((transaction) => setTimes(transaction, 'blobs', uses))
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

/** The rows that pulls add to the tables, each in the order of its key, and the time of the last pull of each image. */
function rowsOf(pulls: readonly Pull[]) {
  const images = new Map<string, Insertable<Tables['images']>>()
  const names = new Map<string, Tables['pulls']>()
  const given = new Map<string, Tables['given']>()
  const times = new Map<ImageKey, number>()
  for (const { repository, tag, architecture, image, at, count, record } of pulls) {
    if (record) images.set(image, { key: image, image: JSON.stringify(record), made_at: at })
    const name = `${repository} ${tag} ${architecture}`
    const sum = (names.get(name)?.count ?? 0) + count
    names.set(name, { repository, tag, architecture, image, pulled_at: at, count: sum })
    given.set(`${repository} ${image}`, { repository, image })
    times.set(image, Math.max(at, times.get(image) ?? 0))
  }
  return { images: inOrder(images), pulls: inOrder(names), given: inOrder(given), times }
}

/** The columns with the time of the last use. */
const timeColumns = {
  images: { key: 'key', time: 'pulled_at' },
  blobs: { key: 'digest', time: 'used_at' },
} as const

/** Sets the time of the last use where it is later, in the order of the keys. Many keys have the same time in seconds. */
async function setTimes(
  db: Kysely<Tables>,
  table: keyof typeof timeColumns,
  times: ReadonlyMap<string, number>,
): Promise<void> {
  const { key, time } = timeColumns[table]
  const [keyColumn, timeColumn] = [sql.ref(key), sql.ref(time)]
  const byTime = Map.groupBy([...times.keys()].sort(), (one) => times.get(one))
  for (const [at, keys] of byTime) {
    for (const batch of batchesOf(keys, rowsAtOnce)) {
      await sql`update ${sql.table(table)} set ${timeColumn} = ${at} where ${keyColumn} in (${sql.join(batch)})
        and (${timeColumn} is null or ${timeColumn} < ${at})`.execute(db)
    }
  }
}
