import { Kysely, sql, type Dialect, type Insertable, type Selectable } from 'kysely'
import { Migrator } from 'kysely/migration'
import { parseDigest, type Digest } from '../image/digest.ts'
import type { Layer } from '../image/oci.ts'
import { parseStorePath, type PathFacts, type StorePath } from '../image/store-path.ts'
import { columns, migrations, type Tables } from './schema.ts'

/** Where the compressed tar entries of one store path lie: bytes of a blob. */
export type Member = {
  readonly key: string
  readonly digest: Digest
  readonly offset: number
  readonly length: number
}

/**
 * Small facts, remembered under the keys of their inputs. All of it can be made again: an empty catalog costs
 * time and never changes a digest. Values are text that the rooms which own them write and parse.
 */
export type Catalog = {
  resolutions(keys: readonly string[]): Promise<Map<string, string>>
  rememberResolutions(resolutions: ReadonlyMap<string, string>): Promise<void>
  /** Facts of the paths that are known, and of no others. */
  pathFacts(paths: readonly StorePath[]): Promise<Map<StorePath, PathFacts>>
  /** Facts of a path that was built anew, with other bytes, replace the old. */
  rememberPathFacts(facts: readonly PathFacts[]): Promise<void>
  layer(key: string): Promise<Layer | undefined>
  rememberLayer(key: string, layer: Layer, members: readonly Member[]): Promise<void>
  image(key: string): Promise<string | undefined>
  rememberImage(key: string, image: string): Promise<void>
  /** The size of a blob whose bytes are known to have this digest. */
  blobSize(digest: Digest): Promise<number | undefined>
  rememberBlob(digest: Digest, size: number): Promise<void>
  /** Forgets a blob that turned out to be missing or damaged, and the layers and members in it. */
  forgetBlob(digest: Digest): Promise<void>
  close(): Promise<void>
}

// SQLite takes at most 32,766 bound values in a statement.
const batchSize = 5_000

/** Opens a catalog over any SQL database that Kysely speaks, and brings its tables up to date. */
export async function openCatalog(dialect: Dialect): Promise<Catalog> {
  const db = new Kysely<Tables>({ dialect })
  const migrator = new Migrator({ db, provider: { getMigrations: () => Promise.resolve(migrations) } })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) {
    await db.destroy()
    throw error
  }

  return {
    async resolutions(keys) {
      const rows = await db.selectFrom('resolutions').selectAll().where('key', 'in', keys).execute()
      return new Map(rows.map((row) => [row.key, row.resolution]))
    },

    async rememberResolutions(resolutions) {
      await remember(
        db,
        'resolutions',
        [...resolutions].map(([key, resolution]) => ({ key, resolution })),
      )
    },

    async pathFacts(paths) {
      const found = new Map<StorePath, PathFacts>()
      for (const batch of batchesOf(paths)) {
        const rows = await db.selectFrom('paths').selectAll().where('store_path', 'in', batch).execute()
        for (const facts of rows.map(factsOf)) found.set(facts.storePath, facts)
      }
      return found
    },

    rememberPathFacts: (facts) => remember(db, 'paths', facts.map(rowOf)),

    async layer(key) {
      const row = await db.selectFrom('layers').selectAll().where('key', '=', key).executeTakeFirst()
      if (!row) return undefined
      const { size, compression } = row
      return { digest: parseDigest(row.digest), diffId: parseDigest(row.diff_id), size, compression }
    },

    async rememberLayer(key, { digest, diffId, size, compression }, members) {
      await db.transaction().execute(async (transaction) => {
        await remember(transaction, 'layers', [{ key, digest, diff_id: diffId, size, compression }])
        await remember(transaction, 'members', members)
      })
    },

    async image(key) {
      const row = await db.selectFrom('images').select('image').where('key', '=', key).executeTakeFirst()
      return row?.image
    },

    rememberImage: (key, image) => remember(db, 'images', [{ key, image }]),

    async blobSize(digest) {
      const row = await db.selectFrom('blobs').select('size').where('digest', '=', digest).executeTakeFirst()
      return row?.size
    },

    rememberBlob: (digest, size) => remember(db, 'blobs', [{ digest, size }]),

    async forgetBlob(digest) {
      await db.transaction().execute(async (transaction) => {
        for (const table of ['blobs', 'layers', 'members'] as const) {
          await transaction.deleteFrom(table).where('digest', '=', digest).execute()
        }
      })
    },

    close: () => db.destroy(),
  }
}

/** Inserts rows; of a row whose key is known, the new values replace the old. */
async function remember<T extends keyof Tables>(
  db: Kysely<Tables>,
  table: T,
  rows: readonly Insertable<Tables[T]>[],
): Promise<void> {
  const [first] = rows
  if (!first) return
  const [key, ...others] = columns[table]
  for (const batch of batchesOf(rows)) {
    await db
      .insertInto(table)
      .values(batch)
      .onConflict((conflict) =>
        conflict
          .column(key as never)
          .doUpdateSet(
            Object.fromEntries(others.map((column) => [column, sql.ref(`excluded.${column}`)])) as never,
          ),
      )
      .execute()
  }
}

const factsOf = (row: Selectable<Tables['paths']>): PathFacts => ({
  storePath: parseStorePath(row.store_path),
  narHash: row.nar_hash,
  narSize: row.nar_size,
  references: (JSON.parse(row.path_references) as string[]).map(parseStorePath),
})

const rowOf = (facts: PathFacts): Insertable<Tables['paths']> => ({
  store_path: facts.storePath,
  nar_hash: facts.narHash,
  nar_size: facts.narSize,
  path_references: JSON.stringify(facts.references),
})

function* batchesOf<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += batchSize) yield items.slice(start, start + batchSize)
}
