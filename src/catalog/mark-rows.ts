import { sql, type Kysely } from 'kysely'
import type { Digest } from '../image/digest.ts'
import type { BlobMarks } from './blob-marks.ts'
import type { SqlDatabase } from './migrate.ts'
import type { Tables } from './schema.ts'

/** The value of `withdrawn` of a blob that is being deleted. Marks are times, in seconds since 1970. */
export const isBeingDeleted = 1

type Database = Pick<SqlDatabase, 'seconds' | 'locksRows' | 'tellOfBlobs'>

export function blobMarksIn(
  db: Kysely<Tables>,
  { seconds: now, locksRows, tellOfBlobs }: Database,
): BlobMarks {
  return {
    async add(blobs) {
      if (blobs.length === 0) return
      const rows = [...blobs].sort((one, other) => (one.digest < other.digest ? -1 : 1))
      await db.transaction().execute(async (transaction) => {
        await transaction
          .insertInto('blobs')
          .values(rows.map(({ digest, size }) => ({ digest, size, withdrawn: now })))
          .onConflict((conflict) =>
            conflict.column('digest').doUpdateSet({ withdrawn: now }).where('blobs.withdrawn', 'is', null),
          )
          .execute()
        await tellOfBlobs?.(
          transaction,
          rows.map(({ digest }) => digest),
        )
      })
    },

    async remove(digests) {
      if (digests.length === 0) return
      await db
        .updateTable('blobs')
        .set({ withdrawn: null })
        .where('digest', 'in', digests)
        .where('withdrawn', '>', isBeingDeleted)
        .execute()
    },

    async delete(digests, seconds, remove) {
      if (digests.length === 0) return
      await db.transaction().execute(async (transaction) => {
        // The store may take long to delete them.
        if (locksRows) await sql`set local idle_in_transaction_session_timeout = '10min'`.execute(transaction)
        const due = await transaction
          .selectFrom('blobs')
          .select('digest')
          .where('digest', 'in', digests)
          .where('withdrawn', '<=', sql<number>`${now} - cast(${seconds} as bigint)`)
          .orderBy('digest')
          .$if(locksRows === true, (query) => query.forUpdate().skipLocked())
          .execute()
        const deleted: Digest[] = []
        for (const { digest } of due) if (await remove(digest as Digest)) deleted.push(digest as Digest)
        if (deleted.length === 0) return
        for (const table of ['layers', 'members', 'blobs'] as const) {
          await transaction.deleteFrom(table).where('digest', 'in', deleted).execute()
        }
        await tellOfBlobs?.(transaction, deleted)
      })
    },
  }
}
