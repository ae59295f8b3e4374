import type { Kysely } from 'kysely'
import type { Digest } from '../image/digest.ts'
import { isBeingDeleted } from './mark-rows.ts'
import { sizeOf, textOf } from './rows.ts'
import type { Tables } from './schema.ts'

/** The sizes of the known blobs among these; marks on them are removed. */
export async function findBlobSizes(
  db: Kysely<Tables>,
  digests: readonly Digest[],
  locksRows = false,
): Promise<Map<Digest, number>> {
  const rows = await db
    .selectFrom('blobs')
    .select(['digest', 'size', 'withdrawn'])
    .where('digest', 'in', digests)
    .execute()
  const marked = rows.filter(({ withdrawn }) => withdrawn !== null).map(({ digest }) => digest)
  const unmarked = marked.length === 0 ? [] : await removeMarks(db, marked, locksRows)
  const known = [...rows.filter(({ withdrawn }) => withdrawn === null), ...unmarked]
  return new Map(
    known.flatMap(({ digest, size }): [Digest, number][] => {
      const valid = sizeOf(size)
      return valid === undefined ? [] : [[digest as Digest, valid]]
    }),
  )
}

/** In the order of their digests, so that two processes do not wait for each other. */
const removeMarks = (db: Kysely<Tables>, digests: readonly string[], locksRows: boolean) =>
  db
    .updateTable('blobs')
    .set({ withdrawn: null })
    .where('digest', 'in', (query) =>
      query
        .selectFrom('blobs')
        .select('digest')
        .where('digest', 'in', digests)
        .where('withdrawn', '>', isBeingDeleted)
        .orderBy('digest')
        .$if(locksRows, (rows) => rows.forUpdate()),
    )
    .where('withdrawn', '>', isBeingDeleted)
    .returning(['digest', 'size'])
    .execute()

/** The marks last stored for the files of these blobs, as far as there are any. */
export async function findFileMarks(
  db: Kysely<Tables>,
  digests: readonly Digest[],
): Promise<Map<Digest, string>> {
  const rows = await db
    .selectFrom('blobs')
    .select(['digest', 'mark'])
    .where('digest', 'in', digests)
    .execute()
  return new Map(
    rows.flatMap(({ digest, mark }): [Digest, string][] => {
      const text = mark === null ? undefined : textOf(mark)
      return text === undefined ? [] : [[digest as Digest, text]]
    }),
  )
}
