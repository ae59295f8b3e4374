import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { SqliteDialect } from 'kysely'
import { NixeryError } from '../errors.ts'
import { openCatalog, type Catalog } from './catalog.ts'

/**
 * The catalog as a file of its own, or `:memory:`.
 * @throws STORE_UNAVAILABLE when the file cannot be opened, or is no database
 */
export async function openSqliteCatalog(file: string): Promise<Catalog> {
  try {
    if (file !== ':memory:') mkdirSync(dirname(file), { recursive: true })
    const database = new Database(file, { timeout: 5_000 })
    database.pragma('journal_mode = WAL')
    // With WAL this loses at most the last facts when the machine stops, never the file's consistency.
    database.pragma('synchronous = NORMAL')
    return await openCatalog(new SqliteDialect({ database }))
  } catch (error) {
    throw new NixeryError('STORE_UNAVAILABLE', `the catalog cannot be opened: ${file}`, {
      cause: error,
      hint: 'check that its folder can be written; removing the file loses nothing but time',
    })
  }
}
