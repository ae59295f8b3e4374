import { Kysely, sql, type Insertable } from 'kysely'
import type { Key } from '../image/canonical.ts'
import type { StorePath, PathFacts } from '../image/store-path.ts'
import type { Catalog } from './catalog.ts'
import { findBlobSizes, findFileMarks } from './blob-rows.ts'
import { apiKeysIn } from './api-keys.ts'
import { migrate, type SqlDatabase } from './migrate.ts'
import { logoutsIn } from './logout-rows.ts'
import { servedIn } from './served-rows.ts'
import { quotaUsesIn } from './quota-use-rows.ts'
import { pullsIn } from './pull-rows.ts'
import { cacheFileOf, factsColumns, factsOf, layerOf, memberOf, readRows, rowOf, valueOf } from './rows.ts'
import type { Tables } from './schema.ts'
import { searchIndexesIn } from './search-rows.ts'
import { forgetBlobs, upkeepIn } from './upkeep.ts'
import { dayOf, rowUsesIn } from './row-uses.ts'

// SQLite accepts at most 32,766 bound values per statement.
const batchSize = 5_000

/** A catalog that fails when its database fails. */
export type SqlCatalog = Catalog & { forgetPathFacts(paths: readonly StorePath[]): Promise<void> }

/**
 * Opens a catalog in any SQL database that Kysely supports, and brings its tables up to date. It fails when the database
 * fails; `tolerant.ts` handles that.
 */
export async function openCatalog(database: SqlDatabase): Promise<SqlCatalog> {
  const db = new Kysely<Tables>({ dialect: database.dialect })
  try {
    await migrate(database, db)
  } catch (error) {
    await db.destroy()
    throw error
  }

  return {
    async resolutions(keys, parse) {
      const rows = await inBatches(keys, (batch) =>
        db.selectFrom('resolutions').selectAll().where('key', 'in', batch).execute(),
      )
      return readMap(rows, ({ key, resolution }) => [key, valueOf(resolution, parse)])
    },

    rememberResolutions(resolutions, revision) {
      const used_on = dayOf()
      const rows = [...resolutions].map(([key, resolution]) => ({
        key,
        resolution: JSON.stringify(resolution),
        revision: revision ?? null,
        used_on,
      }))
      return remember(db, 'resolutions', rows)
    },

    async pathFacts(paths) {
      const rows = await inBatches(paths, (batch) =>
        db.selectFrom('paths').select(factsColumns).where('store_path', 'in', batch).execute(),
      )
      return new Map(readRows(rows, factsOf).map((facts): [StorePath, PathFacts] => [facts.storePath, facts]))
    },

    rememberPathFacts(facts) {
      const used_on = dayOf()
      const rows = facts.map((one) => ({ ...rowOf(one), used_on }))
      return remember(db, 'paths', rows)
    },

    async listings(paths) {
      const hashes = new Map(paths.map(({ storePath, narHash }) => [storePath, narHash]))
      const rows = await inBatches([...hashes.keys()], (batch) =>
        db.selectFrom('paths').select(['store_path', 'listing']).where('store_path', 'in', batch).execute(),
      )
      // An earlier version may have replaced the facts, but not the listing.
      const current = rows.flatMap(({ store_path, listing }): [StorePath, string][] => {
        const [hash, text] = listing?.split(' ') ?? []
        const path = store_path as StorePath
        return text !== undefined && hash === hashes.get(path) ? [[path, text]] : []
      })
      return new Map(current)
    },

    rememberListings(listed) {
      const used_on = dayOf()
      const rows = listed.map(({ facts, listing }) => ({
        ...rowOf(facts),
        used_on,
        listing: `${facts.narHash} ${listing}`,
      }))
      return remember(db, 'paths', rows)
    },

    async cacheFiles(addresses) {
      const rows = await inBatches(addresses, (batch) =>
        db.selectFrom('cache_files').selectAll().where('address', 'in', batch).execute(),
      )
      return readRows(rows, cacheFileOf)
    },

    rememberCacheFiles(files) {
      const rows = files.map(({ address, text = null, askedAt }) => ({ address, text, asked_at: askedAt }))
      return remember(db, 'cache_files', rows)
    },

    async forgetPathFacts(paths) {
      await inBatches(paths, (batch) => db.deleteFrom('paths').where('store_path', 'in', batch).execute())
    },

    async layer(key) {
      const row = await db.selectFrom('layers').selectAll().where('key', '=', key).executeTakeFirst()
      return row && layerOf(row)
    },

    async layers(keys) {
      const rows = await inBatches(keys, (batch) =>
        db.selectFrom('layers').selectAll().where('key', 'in', batch).execute(),
      )
      return readMap(rows, (row) => [row.key, layerOf(row)])
    },

    async members(keys) {
      const rows = await inBatches(keys, (batch) =>
        db.selectFrom('members').selectAll().where('key', 'in', batch).execute(),
      )
      return readMap(rows, (row) => [row.key, memberOf(row)])
    },

    async rememberLayer(key, { digest, diffId, size, compression, facts = null }, members) {
      const row = { key, digest, diff_id: diffId, size, compression, facts }
      await db.transaction().execute(async (transaction) => {
        await remember(transaction, 'layers', [row])
        await remember(transaction, 'members', members)
      })
    },

    async image(key, parse) {
      const row = await db.selectFrom('images').select('image').where('key', '=', key).executeTakeFirst()
      return row && valueOf(row.image, parse)
    },

    rememberImage: (key, image, madeAt = Math.floor(Date.now() / 1000)) =>
      remember(db, 'images', [{ key, image: JSON.stringify(image), made_at: madeAt }]),

    ...rowUsesIn(db),

    blobSize: async (digest) => (await findBlobSizes(db, [digest], database.locksRows)).get(digest),

    rememberBlob: (digest, size) => remember(db, 'blobs', [{ digest, size, withdrawn: null }]),

    blobMark: async (digest) => (await findFileMarks(db, [digest])).get(digest),

    async rememberBlobMark(digest, mark) {
      await db.updateTable('blobs').set({ mark }).where('digest', '=', digest).execute()
    },

    forgetBlob: (digest) => forgetBlobs(db, database, [digest], 'forget'),
    ...pullsIn(db),
    ...servedIn(db),
    apiKeys: apiKeysIn(db),
    logouts: logoutsIn(db),
    quotaUses: quotaUsesIn(db, database.seconds),
    searchIndexes: searchIndexesIn(db, database),
    upkeep: upkeepIn(db, database),
    close: () => db.destroy(),
  }
}

/** The valid rows among these, by key. */
function readMap<Row, K extends Key, T>(
  rows: readonly Row[],
  read: (row: Row) => readonly [key: K, value: T | undefined],
): Map<K, T> {
  const known = new Map<K, T>()
  for (const row of rows) {
    const [key, value] = read(row)
    if (value !== undefined) known.set(key, value)
  }
  return known
}

/** The first column of a table is its key. */
const keys = {
  resolutions: 'key',
  paths: 'store_path',
  cache_files: 'address',
  members: 'key',
  layers: 'key',
  images: 'key',
  blobs: 'digest',
} as const

/** Inserts rows, or replaces their values if the key exists. */
async function remember<T extends keyof typeof keys>(
  db: Kysely<Tables>,
  table: T,
  rows: readonly Insertable<Tables[T]>[],
): Promise<void> {
  const [first] = rows
  if (!first) return
  const key: string = keys[table]
  const others = Object.keys(first).filter((column) => column !== key)
  await inBatches(inOrder(rows, key as keyof Insertable<Tables[T]>), async (batch) => {
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
    return []
  })
}

/**
 * Rows in the order of their keys, the last one of each. PostgreSQL refuses a statement with a key twice, and two
 * replicas that write the same rows in different orders wait for each other.
 */
function inOrder<Row>(rows: readonly Row[], key: keyof Row): readonly Row[] {
  if (rows.length < 2) return rows
  const newest = new Map(rows.map((row) => [row[key], row]))
  return [...newest].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, row]) => row)
}

async function inBatches<T, R>(
  items: readonly T[],
  work: (batch: readonly T[]) => Promise<readonly R[]>,
): Promise<R[]> {
  const found: R[] = []
  for (let start = 0; start < items.length; start += batchSize) {
    for (const one of await work(items.slice(start, start + batchSize))) found.push(one)
  }
  return found
}
