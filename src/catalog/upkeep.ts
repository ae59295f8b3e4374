import type { Kysely, Selectable } from 'kysely'
import type { Digest } from '../image/digest.ts'
import type { CatalogUpkeep, ImageName, ImageRecord } from './catalog.ts'
import { digestOfRow, sizeOf, textOf, timeOf, valueOf } from './rows.ts'
import type { Tables } from './schema.ts'

/** What upkeep asks of the database; statements are small, since SQLite runs them on the thread that answers. */
export function upkeepIn(db: Kysely<Tables>): CatalogUpkeep {
  return {
    async born() {
      const row = await db
        .selectFrom('about')
        .select('value')
        .where('key', '=', 'born')
        .executeTakeFirstOrThrow()
      return sizeOf(Number(row.value))
    },

    async images({ after = '', limit }) {
      const rows = await db
        .selectFrom('images')
        .selectAll()
        .where('key', '>', after)
        .orderBy('key')
        .limit(limit)
        .execute()
      return rows.map(recordOf)
    },

    async imagesSince(since) {
      const rows = await db
        .selectFrom('images')
        .selectAll()
        .where((where) => where.or([where('made_at', '>=', since), where('pulled_at', '>=', since)]))
        .execute()
      return rows.map(recordOf)
    },

    async names(keys) {
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

    async blobs({ after, limit }) {
      const rows = await db
        .selectFrom('blobs')
        .select(['digest', 'used_at', 'withdrawn'])
        .where('digest', '>', after ?? '')
        .orderBy('digest')
        .limit(limit)
        .execute()
      return rows.map((row) => ({
        digest: digestOfRow(row.digest),
        usedAt: timeOf(row.used_at),
        withdrawn: row.withdrawn !== null,
      }))
    },

    async forgetImages(keys, since) {
      await db.transaction().execute(async (transaction) => {
        await transaction
          .deleteFrom('images')
          .where('key', 'in', keys)
          .where('made_at', '<', since)
          .where((where) => where.or([where('pulled_at', 'is', null), where('pulled_at', '<', since)]))
          .execute()
        const left = transaction.selectFrom('images').select('key').where('key', 'in', keys)
        await transaction
          .deleteFrom('pulls')
          .where('image', 'in', keys)
          .where('image', 'not in', left)
          .execute()
      })
    },

    withdrawBlobs: (digests) => forgetBlobs(db, digests, 'withdraw'),
    forgetBlobs: (digests) => forgetBlobs(db, digests, 'forget'),
  }
}

const recordOf = (row: Selectable<Tables['images']>): ImageRecord => ({
  key: textOf(row.key),
  image: valueOf(row.image),
  madeAt: sizeOf(row.made_at),
  pulledAt: timeOf(row.pulled_at),
})

/** Blobs, and what is in them, are known no more. */
export async function forgetBlobs(
  db: Kysely<Tables>,
  digests: readonly Digest[],
  how: 'withdraw' | 'forget',
): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    for (const table of ['layers', 'members'] as const) {
      await transaction.deleteFrom(table).where('digest', 'in', digests).execute()
    }
    await (how === 'withdraw'
      ? transaction.updateTable('blobs').set({ withdrawn: 1 }).where('digest', 'in', digests).execute()
      : transaction.deleteFrom('blobs').where('digest', 'in', digests).execute())
  })
}
