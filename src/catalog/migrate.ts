import { sql, type Dialect, type Kysely, type RawBuilder } from 'kysely'
import type { Digest } from '../image/digest.ts'
import { addMissing } from './add-missing.ts'
import type { Lead, LeadName } from './lead.ts'
import { schemaVersion, type Tables } from './schema.ts'

/** A database that Kysely supports, with the version of its schema. */
export type SqlDatabase = {
  readonly dialect: Dialect
  /** The type of text columns, which are compared byte by byte; default: `text`. */
  readonly text?: RawBuilder<unknown>
  /** Statements that begin a transaction in which only one process at a time changes the schema. */
  readonly beginAlone: readonly string[]
  /** The version of the database's schema; 0 if there is none. */
  readVersion(db: Kysely<Tables>): Promise<number>
  /** See `CatalogUpkeep`. */
  lock(name: LeadName): Lead | undefined | Promise<Lead | undefined>
  /** Seconds since 1970, by the database's clock. */
  readonly seconds: RawBuilder<number>
  /** Whether rows can be locked for a transaction, while others use the rest of the database. */
  readonly locksRows?: boolean
  /** Notifies all processes, when the transaction ends, that these blobs may no longer be known. */
  readonly tellOfBlobs?: (db: Kysely<Tables>, digests: readonly Digest[]) => Promise<void>
  /** See `CatalogRows`. */
  shrink(pages: number): boolean | Promise<boolean>
  /** Writes the version, as part of the transaction. */
  writeVersion(db: Kysely<Tables>, version: number): Promise<void>
}

/**
 * Brings the tables up to date in one transaction: a killed process leaves either the old schema or the new one, and if
 * several processes open a new database, the first creates the tables while the others wait. A database that is up to
 * date, or newer, is only read.
 * @throws the error of the database, for example if another process holds a lock for too long
 */
export async function migrate(database: SqlDatabase, db: Kysely<Tables>): Promise<void> {
  if ((await database.readVersion(db)) >= schemaVersion) return
  await db.connection().execute(async (connection) => {
    for (const statement of database.beginAlone) await sql.raw(statement).execute(connection)
    try {
      // Another process may have done it in the meantime.
      if ((await database.readVersion(connection)) < schemaVersion) {
        await addMissing(connection, database.text)
        await database.writeVersion(connection, schemaVersion)
      }
      await sql`commit`.execute(connection)
    } catch (error) {
      await sql`rollback`.execute(connection).catch(() => {}) // the first error is the one to report
      throw error
    }
  })
}
