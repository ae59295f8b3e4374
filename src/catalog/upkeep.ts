import type { Kysely } from 'kysely'
import type { Digest } from '../image/digest.ts'
import { blobMarksIn, isBeingDeleted } from './mark-rows.ts'
import type { CatalogUpkeep, ImageKey, ImageName } from './catalog.ts'
import type { SqlDatabase } from './migrate.ts'
import { rowsIn } from './row-uses.ts'
import { blobRecordOf, imageRecordOf, readRows, sizeOf } from './rows.ts'
import type { Tables } from './schema.ts'
import { scrubsIn } from './scrub-rows.ts'

/** The queries of upkeep. Statements are small, because SQLite runs them on the main thread. */
export function upkeepIn(db: Kysely<Tables>, database: SqlDatabase): CatalogUpkeep {
  return {
    lock: (name) => Promise.resolve(database.lock(name)),

    async born() {
      const row = await db
        .selectFrom('about')
        .select('value')
        .where('key', '=', 'born')
        .executeTakeFirstOrThrow()
      // If unreadable, the catalog counts as new, so that nothing is removed for lack of a record.
      return sizeOf(Number(row.value)) ?? Math.floor(Date.now() / 1000)
    },

    images: ({ after, limit }, parse) =>
      untilReadable(after, (start) =>
        db
          .selectFrom('images')
          .selectAll()
          .$if(start !== undefined, (query) => query.where('key', '>', start as ImageKey))
          .orderBy('key')
          .limit(limit)
          .execute()
          .then((rows) => ({ last: rows.at(-1)?.key, items: readRows(rows, imageRecordOf(parse)) })),
      ),

    async imagesSince(since, parse) {
      const rows = await db
        .selectFrom('images')
        .selectAll()
        .where((where) => where.or([where('made_at', '>=', since), where('pulled_at', '>=', since)]))
        .execute()
      return readRows(rows, imageRecordOf(parse))
    },

    async names(keys) {
      if (keys.length === 0) return new Map()
      const rows = await db
        .selectFrom('pulls')
        .select(['image', 'repository', 'tag', 'architecture'])
        .where('image', 'in', keys)
        .orderBy('repository')
        .orderBy('tag')
        .orderBy('architecture')
        .execute()
      const names = Map.groupBy(rows, ({ image }) => image)
      const nameOf = ({ repository, tag, architecture }: ImageName) => ({ repository, tag, architecture })
      return new Map([...names].map(([key, found]) => [key, found.map(nameOf)]))
    },

    blobs: ({ after, limit }) =>
      untilReadable(after, (start) =>
        db
          .selectFrom('blobs')
          .select(['digest', 'used_at', 'withdrawn'])
          .$if(start !== undefined, (query) => query.where('digest', '>', start ?? ''))
          .orderBy('digest')
          .limit(limit)
          .execute()
          .then((rows) => ({ last: rows.at(-1)?.digest, items: readRows(rows, blobRecordOf) })),
      ),

    async forgetImages(keys, since) {
      if (keys.length === 0) return
      await db.transaction().execute(async (transaction) => {
        await transaction
          .deleteFrom('images')
          .where('key', 'in', keys)
          .where('made_at', '<', since)
          .where((where) => where.or([where('pulled_at', 'is', null), where('pulled_at', '<', since)]))
          .execute()
        const left = transaction.selectFrom('images').select('key').where('key', 'in', keys)
        for (const table of ['pulls', 'given'] as const) {
          await transaction
            .deleteFrom(table)
            .where('image', 'in', keys)
            .where('image', 'not in', left)
            .execute()
        }
      })
    },

    withdrawBlobs: (digests) => forgetBlobs(db, database, digests, 'withdraw'),
    forgetBlobs: (digests) => forgetBlobs(db, database, digests, 'forget'),
    marks: blobMarksIn(db, database),
    rows: rowsIn(db, {
      shrink: (pages) => Promise.resolve(database.shrink(pages)),
      seconds: database.seconds,
    }),
    scrubs: scrubsIn(db),
  }
}

/** The first page of a list with a valid row; an empty one at the end. */
async function untilReadable<T>(
  after: string | undefined,
  get: (after: string | undefined) => Promise<{ readonly last: string | undefined; readonly items: T[] }>,
): Promise<T[]> {
  for (let start = after; ;) {
    const { last, items } = await get(start)
    if (items.length > 0 || typeof last !== 'string') return items
    start = last
  }
}

/** Removes blobs with the layers and members in them. */
export async function forgetBlobs(
  db: Kysely<Tables>,
  { tellOfBlobs }: Pick<SqlDatabase, 'tellOfBlobs'>,
  digests: readonly Digest[],
  how: 'withdraw' | 'forget',
): Promise<void> {
  if (digests.length === 0) return
  await db.transaction().execute(async (transaction) => {
    for (const table of ['layers', 'members'] as const) {
      await transaction.deleteFrom(table).where('digest', 'in', digests).execute()
    }
    await (how === 'withdraw'
      ? transaction
          .updateTable('blobs')
          .set({ withdrawn: isBeingDeleted })
          .where('digest', 'in', digests)
          .execute()
      : transaction.deleteFrom('blobs').where('digest', 'in', digests).execute())
    await tellOfBlobs?.(transaction, digests)
  })
}
