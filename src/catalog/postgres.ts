import { Kysely } from 'kysely'
import { NixeryError } from '../errors.ts'
import { isOfStatement, isPassing } from '../postgres/errors.ts'
import { openPool, type Postgres } from '../postgres/pool.ts'
import { retrying } from '../postgres/retry.ts'
import type { Digest } from '../image/digest.ts'
import type { Listener } from '../postgres/listener.ts'
import { atOnce } from './at-once.ts'
import { findBlobSizes, findFileMarks } from './blob-rows.ts'
import type { Catalog } from './catalog.ts'
import type { SubscribeToChanges } from './changes.ts'
import type { Database } from './connection.ts'
import { withFront } from './front.ts'
import { migrate } from './migrate.ts'
import { blobsChannel, postgresOf } from './postgres-database.ts'
import { schemaVersion, type Tables } from './schema.ts'
import { openCatalog } from './sql.ts'
import { openTolerantCatalog } from './tolerant.ts'
import { withUses } from './uses.ts'

export type PostgresCatalogOptions = {
  /** The connections that it uses; whoever opened them closes them. */
  readonly postgres: Postgres
  /** The address at which tables are made and changed: of the server itself, where the other is a pooler's. */
  readonly directUrl: string
  /** Tells of what other processes change; without it, this one must not live long. */
  readonly listener?: Listener | undefined
  /** Gets a line when the database fails. */
  readonly warn: (line: string) => void
  /** Milliseconds for which a database that failed is left alone. */
  readonly pause?: number
}

// Milliseconds that one change of the tables may take.
const longestChange = 3_600_000

/**
 * The catalog in PostgreSQL, with a memory before it. While the database cannot be reached, it is done without
 * (`tolerant.ts`).
 * @throws STORE_UNAVAILABLE when the database can be reached, but not used
 */
export async function openPostgresCatalog(options: PostgresCatalogOptions): Promise<Catalog> {
  const { warn, pause = 1_000, listener } = options
  try {
    const catalog = await openTolerantCatalog(postgresDatabase(options), { warn, pause })
    return withUses(withFront(catalog, listener && changesFrom(listener)))
  } catch (error) {
    const { host, pathname } = new URL(options.directUrl)
    throw new NixeryError(
      'STORE_UNAVAILABLE',
      `the catalog in PostgreSQL cannot be opened: ${host}${pathname}`,
      {
        cause: error,
        hint: 'NIXERY_DATABASE_URL must name a database in which its user may create tables',
      },
    )
  }
}

/** A PostgreSQL database as a catalog that fails when it does. */
export function postgresDatabase(options: Pick<PostgresCatalogOptions, 'postgres' | 'directUrl'>): Database {
  const database = postgresOf(options.postgres.dialect)
  return {
    async open() {
      const db = new Kysely<Tables>({ dialect: database.dialect })
      if ((await database.readVersion(db)) < schemaVersion) await migrateDirectly(options.directUrl)
      const catalog = await openCatalog(database)
      // A request to the server takes longer than the lookup, and an image has dozens of blobs.
      return {
        ...catalog,
        blobSize: atOnce((digests) => findBlobSizes(db, digests, database.locksRows)),
        blobMark: atOnce((digests) => findFileMarks(db, digests)),
      }
    },
    isPassing,
    isOfStatement,
    repeat: retrying,
    isDamaged: () => false,
    setAside: () => Promise.reject(new Error('a database of PostgreSQL is never moved away')),
  }
}

const changesFrom =
  (listener: Listener): SubscribeToChanges =>
  ({ blobs, missed }) =>
    void listener.listen(blobsChannel, { notified: (text) => blobs(text.split(' ') as Digest[]), missed })

async function migrateDirectly(url: string): Promise<void> {
  const pool = await openPool({ url, most: 1, queryTimeout: longestChange })
  try {
    await migrate(postgresOf(pool.dialect), new Kysely<Tables>({ dialect: pool.dialect }))
  } finally {
    await pool.close()
  }
}
