import { sql, type Kysely } from 'kysely'
import { batchesOf } from './batches.ts'
import type { Catalog, Pull } from './catalog.ts'
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
      const records = newestOf(
        pulls.filter(({ record }) => record !== undefined),
        ({ image }) => image,
      )
      const given = newestOf(pulls, ({ repository, image }) => `${repository} ${image}`)
      await db.transaction().execute(async (transaction) => {
        for (const batch of batchesOf(records, rowsAtOnce)) {
          await transaction
            .insertInto('images')
            .values(
              batch.map(({ image: key, record, at }) => ({
                key,
                image: JSON.stringify(record),
                made_at: at,
              })),
            )
            .onConflict((conflict) => conflict.column('key').doNothing())
            .execute()
        }
        for (const batch of batchesOf(sumsOf(pulls), rowsAtOnce)) {
          await transaction
            .insertInto('pulls')
            .values([...batch])
            .onConflict((conflict) =>
              conflict.columns(['repository', 'tag', 'architecture']).doUpdateSet({
                image: sql`excluded.image`,
                pulled_at: sql`excluded.pulled_at`,
                count: sql`pulls.count + excluded.count`,
              }),
            )
            .execute()
        }
        for (const batch of batchesOf(given, rowsAtOnce)) {
          await transaction
            .insertInto('given')
            .values(batch.map(({ repository, image }) => ({ repository, image })))
            .onConflict((conflict) => conflict.columns(['repository', 'image']).doNothing())
            .execute()
        }
        for (const [pulledAt, keys] of byTime(pulls.map(({ image, at }) => [image, at]))) {
          for (const batch of batchesOf(keys, rowsAtOnce)) {
            await transaction
              .updateTable('images')
              .set({ pulled_at: pulledAt })
              .where('key', 'in', batch)
              .where((where) => where.or([where('pulled_at', 'is', null), where('pulled_at', '<', pulledAt)]))
              .execute()
          }
        }
      })
    },

    async rememberUses(uses) {
      await db.transaction().execute(async (transaction) => {
        for (const [at, digests] of byTime(uses)) {
          for (const batch of batchesOf(digests, rowsAtOnce)) {
            await transaction
              .updateTable('blobs')
              .set({ used_at: at })
              .where('digest', 'in', batch)
              .where((where) => where.or([where('used_at', 'is', null), where('used_at', '<', at)]))
              .execute()
          }
        }
      })
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

/** The last item of each key, in the order of the keys. */
function newestOf<T>(items: readonly T[], keyOf: (item: T) => string): T[] {
  const newest = new Map(items.map((item) => [keyOf(item), item]))
  return [...newest].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, item]) => item)
}

/** Rows of `pulls`, one for each name: the image that was last served under it, and the number of pulls. */
function sumsOf(pulls: readonly Pull[]): Tables['pulls'][] {
  const keyOf = ({ repository, tag, architecture }: Pull) => `${repository} ${tag} ${architecture}`
  const counts = new Map<string, number>()
  for (const pull of pulls) counts.set(keyOf(pull), (counts.get(keyOf(pull)) ?? 0) + pull.count)
  return newestOf(pulls, keyOf).map((pull) => {
    const { repository, tag, architecture, image, at } = pull
    return { repository, tag, architecture, image, pulled_at: at, count: counts.get(keyOf(pull)) ?? 0 }
  })
}

/** Groups keys by the time of their last use, because many have the same time in seconds. */
function byTime<K extends string>(times: Iterable<readonly [K, number]>): Map<number, K[]> {
  const last = new Map<K, number>()
  for (const [key, at] of times) last.set(key, Math.max(at, last.get(key) ?? 0))
  const keys = new Map<number, K[]>()
  for (const [key, at] of [...last].sort(([one], [other]) => (one < other ? -1 : 1))) {
    keys.set(at, [...(keys.get(at) ?? []), key])
  }
  return keys
}
