import Database from 'better-sqlite3'
import { sql, SqliteDialect, type Kysely } from 'kysely'
import { systemErrorCode } from '../errors.ts'
import type { Lead } from './lead.ts'
import type { SqlDatabase } from './migrate.ts'
import type { Tables } from './schema.ts'

// The values of `pragma auto_vacuum` (https://sqlite.org/pragma.html#pragma_auto_vacuum).
const incremental = 2

/** An open SQLite database; the version of its schema is SQLite's `user_version`. */
export const sqliteOf = (database: Database.Database): SqlDatabase => ({
  dialect: new SqliteDialect({ database }),
  beginAlone: ['begin immediate'],
  async readVersion(db) {
    const { rows } = await sql<{ user_version: number }>`pragma user_version`.execute(db)
    return rows[0]?.user_version ?? 0
  },
  async writeVersion(db, version) {
    await writeKyselyMigrations(db)
    await sql.raw(`pragma user_version = ${version}`).execute(db)
  },
  shrink(pages) {
    // It frees pages as its rows are read, so read all of them. Without auto_vacuum it frees none.
    database.pragma(`incremental_vacuum(${pages})`)
    const free = Number(database.pragma('freelist_count', { simple: true }))
    return free > 0 && database.pragma('auto_vacuum', { simple: true }) === incremental
  },
  lock: (name) =>
    lockOf(database.memory ? undefined : `${database.name}${name === 'upkeep' ? '' : `.${name}`}.lock`),
  seconds: sql`unixepoch()`,
})

/** A lock on a separate, empty SQLite file: the system releases it when the process ends. */
function lockOf(file: string | undefined): Lead | undefined {
  const lost = new AbortController().signal // never
  if (file === undefined) return { release: () => Promise.resolve(), lost } // an in-memory database has no other users
  const holder = new Database(file, { timeout: 0 })
  try {
    holder.exec('BEGIN EXCLUSIVE')
    return { release: () => Promise.resolve(void holder.close()), lost }
  } catch (error) {
    holder.close()
    if (systemErrorCode(error) === 'SQLITE_BUSY') return undefined
    throw error
  }
}

/**
 * The tables in which the first version of this program, through Kysely, recorded its migrations. It opens a database only
 * if both exist. Nothing else reads them.
 */
async function writeKyselyMigrations(db: Kysely<Tables>): Promise<void> {
  const statements = [
    sql`create table if not exists kysely_migration (name varchar(255) not null primary key, timestamp varchar(255) not null)`,
    sql`create table if not exists kysely_migration_lock (id varchar(255) not null primary key, is_locked integer default 0 not null)`,
    sql`insert or ignore into kysely_migration_lock (id, is_locked) values ('migration_lock', 0)`,
  ]
  const now = new Date().toISOString()
  for (const name of ['0001', '0002']) {
    statements.push(sql`insert or ignore into kysely_migration (name, timestamp) values (${name}, ${now})`)
  }
  for (const statement of statements) await statement.execute(db)
}
