import type { Kysely } from 'kysely'
import type { Catalog } from './catalog.ts'
import { readRows, sizeOf, textOf } from './rows.ts'
import type { Tables } from './schema.ts'

/** The images of a name. */
export function servedIn(db: Kysely<Tables>): Pick<Catalog, 'pulledImages' | 'servedImages' | 'holds'> {
  // Images served before `given` existed are in `pulls`, unless their tag was served with another image since.
  const keysOf = (repository: string) =>
    db
      .selectFrom('given')
      .select('image')
      .where('repository', '=', repository)
      .union(db.selectFrom('pulls').select('image').where('repository', '=', repository))
  return {
    async pulledImages(repository, limit, parse) {
      const rows = await db
        .selectFrom('pulls')
        .innerJoin('images', 'images.key', 'pulls.image')
        .select(['pulls.tag', 'pulls.architecture', 'pulls.pulled_at', 'pulls.count', 'images.image'])
        .where('pulls.repository', '=', repository)
        .orderBy('pulls.pulled_at', 'desc')
        .orderBy('pulls.tag')
        .orderBy('pulls.architecture')
        .limit(limit)
        .execute()
      return readRows(rows, (row) => {
        const [tag, architecture, text] = [textOf(row.tag), textOf(row.architecture), textOf(row.image)]
        const [pulledAt, pulls] = [sizeOf(row.pulled_at), sizeOf(row.count)]
        const image = text === undefined ? undefined : parse(text)
        if (tag === undefined || architecture === undefined || image === undefined) return undefined
        if (pulledAt === undefined || pulls === undefined) return undefined
        return { tag, architecture, image, pulledAt, pulls }
      })
    },

    async servedImages(repository, limit, parse) {
      const rows = await db
        .selectFrom('images')
        .select(['image', 'made_at'])
        .where('key', 'in', keysOf(repository))
        .orderBy('made_at', 'desc')
        .orderBy('key')
        .limit(limit)
        .execute()
      return readRows(rows, (row) => {
        const [text, madeAt] = [textOf(row.image), sizeOf(row.made_at)]
        const image = text === undefined ? undefined : parse(text)
        return image === undefined || madeAt === undefined ? undefined : { image, madeAt }
      })
    },

    async holds(repository, digest) {
      const row = await db
        .selectFrom('images')
        .select('key')
        .where('key', 'in', keysOf(repository))
        .where('image', 'like', `%"${digest}"%`)
        .limit(1)
        .executeTakeFirst()
      return row !== undefined
    },
  }
}
