import { accessSync, constants, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { Catalog } from './catalog.ts'
import { withFront } from './front.ts'
import { openCatalog, type SqlCatalog } from './sql.ts'
import { sqliteOf } from './sqlite-database.ts'
import { withUses } from './uses.ts'
import { openTolerantCatalog } from './tolerant.ts'
import type { Database as CatalogDatabase } from './connection.ts'

export type SqliteOptions = {
  /** Gets a line when the database fails, or is recreated. */
  readonly warn?: (line: string) => void
  /**
   * Milliseconds to wait for a lock that another process holds. SQLite waits on the thread that answers: a server's
   * is short, and a command, which nobody else waits for, may have a longer one.
   */
  readonly busyTimeout?: number
  /** Milliseconds for which a database that failed is left alone. */
  readonly pause?: number
}

// Milliseconds to wait at most, when it is first opened, for another process that has the database locked; and from
// one look to the next.
const mostPatience = 10_000
const lockPause = 20
// Of databases that were moved away, so many are kept.
const mostSetAside = 2

/**
 * The catalog as a file of its own, or `:memory:`, with a memory before it. One that is damaged is moved away and
 * recreated; one that fails in use is done without (`tolerant.ts`).
 * @throws STORE_UNAVAILABLE when its folder cannot be made or written, or the file not opened
 */
export async function openSqliteCatalog(file: string, options: SqliteOptions = {}): Promise<Catalog> {
  const { warn = (line) => process.emitWarning(line), busyTimeout = 250, pause = 5_000 } = options
  try {
    if (file !== ':memory:') {
      mkdirSync(dirname(file), { recursive: true })
      accessSync(dirname(file), constants.R_OK | constants.W_OK | constants.X_OK)
    }
    return withUses(withFront(await openTolerantCatalog(sqliteDatabase(file, busyTimeout), { warn, pause })))
  } catch (error) {
    throw new NixeryError('STORE_UNAVAILABLE', `the catalog cannot be opened: ${file}`, {
      cause: error,
      hint: 'check that its folder can be written; removing the file loses nothing but time',
    })
  }
}

/** A SQLite database as a catalog that fails when it does; `:memory:`, or a file whose folder is there. */
export function sqliteDatabase(file: string, busyTimeout: number): CatalogDatabase {
  let opened: number | undefined
  let isFirst = true

  const openOnce = async (): Promise<SqlCatalog> => {
    const database = new Database(file, { timeout: busyTimeout })
    opened = inodeOf(file)
    try {
      // Takes effect in a new file only: what is deleted can then be given back to the file system.
      database.pragma('auto_vacuum = INCREMENTAL')
      database.pragma('journal_mode = WAL')
      // With WAL this loses at most the last facts when the machine stops, never the file's consistency.
      database.pragma('synchronous = NORMAL')
      opened ??= inodeOf(file) // a new file is made by the first write
      const problem = isSmall(file) ? database.pragma('quick_check(1)', { simple: true }) : 'ok'
      if (problem !== 'ok') throw Object.assign(new Error(String(problem)), { code: 'SQLITE_CORRUPT' })
      return await openCatalog(sqliteOf(database))
    } catch (error) {
      if (database.open) database.close()
      throw error
    }
  }

  return {
    async open(): Promise<SqlCatalog> {
      // Another process may be making the same tables, or switching the new file to WAL, for which SQLite does not
      // wait by itself. Later on, callers would have to wait meanwhile, and rather do without the database.
      const patience = isFirst ? Math.min(8 * busyTimeout, mostPatience) : 0
      isFirst = false
      const deadline = performance.now() + patience
      for (;;) {
        try {
          return await openOnce()
        } catch (error) {
          if (!isLocked(error) || performance.now() >= deadline) throw error
          await delay(lockPause)
        }
      }
    },

    isDamaged: (error) => /^SQLITE_(?:CORRUPT|NOTADB)/.test(systemErrorCode(error) ?? ''),
    isPassing: (error) => isLocked(error) || systemErrorCode(error) === 'SQLITE_FULL',

    setAside() {
      const to = `${file}.damaged-${new Date().toISOString().replaceAll(':', '')}`
      // Another process that has the same file open may have found out first, and begun a new one.
      const found = inodeOf(file)
      if (found !== undefined && (opened === undefined || opened === found)) {
        for (const end of ['-wal', '-shm', '']) moveIfThere(`${file}${end}`, `${to}${end}`)
        removeOldest(file)
      }
      return Promise.resolve(to)
    },
  }
}

const isLocked = (error: unknown): boolean =>
  /^SQLITE_(?:BUSY|LOCKED|PROTOCOL)/.test(systemErrorCode(error) ?? '')

/** Whether all of it can be read at each start: 2 s a GB, if it is in memory. Of a larger one, damage shows in use. */
const isSmall = (file: string): boolean =>
  (statSync(file, { throwIfNoEntry: false })?.size ?? 0) <= 256 * 1024 * 1024

function inodeOf(file: string): number | undefined {
  return file === ':memory:' ? undefined : statSync(file, { throwIfNoEntry: false })?.ino
}

function moveIfThere(from: string, to: string): void {
  try {
    renameSync(from, to)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
  }
}

function removeOldest(file: string): void {
  const prefix = `${basename(file)}.damaged-`
  const names = readdirSync(dirname(file)).filter((name) => name.startsWith(prefix))
  const kept = names
    .filter((name) => name.endsWith('Z'))
    .sort()
    .slice(-mostSetAside)
  for (const name of names) {
    if (!kept.some((one) => name.startsWith(one))) rmSync(join(dirname(file), name), { force: true })
  }
}
