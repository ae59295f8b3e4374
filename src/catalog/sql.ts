import { Kysely, sql, type Insertable, type RawBuilder } from 'kysely'
import type { StorePath } from '../image/store-path.ts'
import { batchesOf, inOrder } from './batches.ts'
import type { Catalog } from './catalog.ts'
import { findBlobSizes, findFileMarks } from './blob-rows.ts'
import { apiKeysIn } from './api-keys.ts'
import { migrate, type SqlDatabase } from './migrate.ts'
import { logoutsIn } from './logout-rows.ts'
import { servedIn } from './served-rows.ts'
import { quotaUsesIn } from './quota-use-rows.ts'
import { pullsIn } from './pull-rows.ts'
import {
  cacheFileColumns,
  cacheFileOf,
  factsColumns,
  factsOf,
  layerColumns,
  layerOf,
  memberColumns,
  memberOf,
  rowOf,
  valueOf,
} from './rows.ts'
import type { Tables } from './schema.ts'
import { searchIndexesIn } from './search-rows.ts'
import { writeAtOnce } from './write-at-once.ts'
import { forgetBlobs, upkeepIn } from './upkeep.ts'
import { dayOf, rowUsesIn } from './row-uses.ts'

// SQLite accepts at most 32,766 bound values per statement.
const batchSize = 5_000

/** A layer and its members, as rows. */
type LayerRows = {
  readonly layer: Insertable<Tables['layers']>
  readonly members: readonly Insertable<Tables['members']>[]
}

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

  const blobsWriter = () =>
    writeAtOnce((rows: readonly Insertable<Tables['blobs']>[]) => remember(db, 'blobs', rows))
  // All rows of a statement have the same columns.
  const rememberBlobs = { marked: blobsWriter(), unmarked: blobsWriter() }
  const rememberListed = writeAtOnce((rows: readonly (readonly Insertable<Tables['paths']>[])[]) =>
    remember(db, 'paths', rows.flat()),
  )
  const rememberLayers = writeAtOnce((layers: readonly LayerRows[]) =>
    db.transaction().execute(async (transaction) => {
      const rows = layers.map(({ layer }) => layer)
      await remember(transaction, 'layers', rows)
      const members = layers.flatMap((one) => one.members)
      await remember(transaction, 'members', members)
    }),
  )

  return {
    resolutions: (keys, parse) =>
      known(db, 'resolutions', ['key', 'resolution'], keys, ({ resolution }) => valueOf(resolution, parse)),

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

    pathFacts: (paths) => known(db, 'paths', factsColumns, paths, factsOf),

    rememberPathFacts(facts) {
      const used_on = dayOf()
      const rows = facts.map((one) => ({ ...rowOf(one), used_on }))
      return remember(db, 'paths', rows)
    },

    async listings(paths) {
      const hashes = new Map(paths.map(({ storePath, narHash }) => [storePath, narHash]))
      return known(db, 'paths', ['store_path', 'listing'], [...hashes.keys()], (row) => {
        const [hash, text] = row.listing?.split(' ') ?? []
        // An earlier version may have replaced the facts, but not the listing.
        return hash === hashes.get(row.store_path as StorePath) ? text : undefined
      })
    },

    rememberListings(listed) {
      const used_on = dayOf()
      const rows = listed.map(({ facts, listing }) => ({
        ...rowOf(facts),
        used_on,
        listing: `${facts.narHash} ${listing}`,
      }))
      return rememberListed(rows)
    },

    async cacheFiles(addresses) {
      return [...(await known(db, 'cache_files', cacheFileColumns, addresses, cacheFileOf)).values()]
    },

    rememberCacheFiles(files) {
      const rows = files.map(({ address, text = null, askedAt }) => ({ address, text, asked_at: askedAt }))
      return remember(db, 'cache_files', rows)
    },

    async forgetPathFacts(paths) {
      for (const batch of batchesOf(paths, batchSize)) {
        await db.deleteFrom('paths').where('store_path', 'in', batch).execute()
      }
    },

    layer: async (key) => (await known(db, 'layers', layerColumns, [key], layerOf)).get(key),
    layers: (keys) => known(db, 'layers', layerColumns, keys, layerOf),
    members: (keys) => known(db, 'members', memberColumns, keys, memberOf),

    async rememberLayer(key, { digest, diffId, size, compression, facts = null }, members) {
      const row = { key, digest, diff_id: diffId, size, compression, facts }
      await rememberLayers({ layer: row, members })
    },

    async image(key, parse) {
      const images = await known(db, 'images', ['key', 'image'], [key], ({ image }) => valueOf(image, parse))
      return images.get(key)
    },

    rememberImage: (key, image, madeAt = Math.floor(Date.now() / 1000)) =>
      remember(db, 'images', [{ key, image: JSON.stringify(image), made_at: madeAt }]),

    ...rowUsesIn(db),

    blobSize: async (digest) => (await findBlobSizes(db, [digest], database.locksRows)).get(digest),

    rememberBlob(digest, size, mark) {
      const row = { digest, size, withdrawn: null }
      return mark === undefined ? rememberBlobs.unmarked(row) : rememberBlobs.marked({ ...row, mark })
    },

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

/** The column with the key of each table. */
const keyColumns = {
  resolutions: 'key',
  paths: 'store_path',
  cache_files: 'address',
  members: 'key',
  layers: 'key',
  images: 'key',
  blobs: 'digest',
} as const

type Keyed = keyof typeof keyColumns

/**
 * The known values of these keys.
 * @param columns those that `read` needs, and the one of the key
 * @param read returns the value of a row; undefined for a row that counts as missing
 */
async function known<T extends Keyed, C extends keyof Tables[T] & string, K extends string, V>(
  db: Kysely<Tables>,
  table: T,
  columns: readonly C[],
  keys: readonly K[],
  read: (row: Pick<Tables[T], C>) => V | undefined,
): Promise<Map<K, V>> {
  const values = new Map<K, V>()
  const { [table]: key } = keyColumns
  for (const batch of batchesOf(keys, batchSize)) {
    // Kysely cannot infer the types of a table that is a parameter.
    const query = db.selectFrom(table as 'paths').select(columns as never)
    const rows: object[] = await query.where(key as never, 'in', batch as never).execute()
    for (const row of rows as Pick<Tables[T], C>[]) {
      const value = read(row)
      if (value !== undefined) values.set(row[key as never], value)
    }
  }
  return values
}

/** Inserts rows, or replaces their values if the key exists. */
async function remember<T extends Keyed>(
  db: Kysely<Tables>,
  table: T,
  rows: readonly Insertable<Tables[T]>[],
): Promise<void> {
  const key: string = keyColumns[table]
  const ordered = inOrder(new Map(rows.map((row) => [String(row[key as keyof typeof row]), row])))
  const values: Record<string, RawBuilder<unknown>> = {}
  for (const column of Object.keys(rows[0] ?? {})) {
    if (column !== key) values[column] = sql.ref(`excluded.${column}`)
  }
  for (const batch of batchesOf(ordered, batchSize)) {
    await db
      .insertInto(table)
      .values(batch)
      .onConflict((conflict) => conflict.column(key as never).doUpdateSet(values as never))
      .execute()
  }
}
