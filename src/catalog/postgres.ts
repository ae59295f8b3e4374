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
  /** The connection pool, which the caller closes. */
  readonly postgres: Postgres
  /** The URL for creating and changing tables: of the database server itself, if the other one is a pooler's. */
  readonly directUrl: string
  /** Reports changes by other processes; without it, this process must be short-lived. */
  readonly listener?: Listener | undefined
  /** Receives a line when the database fails. */
  readonly warn: (line: string) => void
  /** Milliseconds for which a failed database is not used. */
  readonly pause?: number
}

// The timeout of a change of the tables in milliseconds.
const longestChange = 3_600_000

/**
 * Opens the catalog in PostgreSQL, with an in-memory cache in front. While the database is unreachable, the catalog
 * works without it (`tolerant.ts`).
 * @throws STORE_UNAVAILABLE if the database is reachable but not usable
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

/** A PostgreSQL database as a catalog that fails when the database fails. */
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
