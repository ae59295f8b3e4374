import { sql, type Dialect, type Kysely, type RawBuilder } from 'kysely'
import { addMissing } from './add-missing.ts'
import { schemaVersion, type Tables } from './schema.ts'

/** A database that Kysely speaks, and how the version of its schema is kept in it. */
export type SqlDatabase = {
  readonly dialect: Dialect
  /** The type of columns that hold text, compared byte by byte; `text` if it is not given. */
  readonly text?: RawBuilder<unknown>
  /** Statements that begin a transaction, in which one process at a time changes the schema. */
  readonly beginAlone: readonly string[]
  /** The version of the schema that the database has; 0 if none was written. */
  readVersion(db: Kysely<Tables>): Promise<number>
  /** See `CatalogUpkeep`. */
  lock(): (() => void) | undefined | Promise<(() => void) | undefined>
  /** See `CatalogRows`. */
  shrink(pages: number): boolean | Promise<boolean>
  /** Writes it, as part of the transaction. */
  writeVersion(db: Kysely<Tables>, version: number): Promise<void>
}

/**
 * Brings the tables up to date in one transaction: a process that is killed leaves either the old schema or the new
 * one, and of several that open a new database at once the first makes the tables while the others wait. A database
 * that is up to date, or that a later version has changed, is only read.
 * @throws what the database does, such as a lock that another process holds for too long
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
