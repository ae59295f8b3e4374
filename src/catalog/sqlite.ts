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
  /** Receives a line when the database fails or is recreated. */
  readonly warn?: (line: string) => void
  /**
   * Milliseconds to wait for a lock of another process. SQLite blocks the main thread, so a server waits briefly; a command
   * can wait longer.
   */
  readonly busyTimeout?: number
  /** Milliseconds without any access after the database failed. */
  readonly pause?: number
}

// Milliseconds: the longest wait for a lock of another process when the database is first opened, and the interval of the
// checks.
const mostPatience = 10_000
const lockPause = 20
// The number of damaged databases to keep.
const mostSetAside = 2

/**
 * Opens the catalog in a file, or `:memory:`, with an in-memory cache in front. A damaged catalog is moved away and recreated;
 * when it fails in use, the server works without it (`tolerant.ts`).
 * @throws STORE_UNAVAILABLE if the folder cannot be created or written, or the file cannot be opened
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
      hint: 'check that its folder can be written; it is safe to remove the file: its contents are derived again',
    })
  }
}

/** A SQLite database as a catalog that fails when it fails; `:memory:`, or a file in an existing folder. */
export function sqliteDatabase(file: string, busyTimeout: number): CatalogDatabase {
  let opened: number | undefined
  let isFirst = true

  const openOnce = async (): Promise<SqlCatalog> => {
    const database = new Database(file, { timeout: busyTimeout })
    opened = inodeOf(file)
    try {
      // Has an effect in new files only: freed pages can be returned to the file system.
      database.pragma('auto_vacuum = INCREMENTAL')
      database.pragma('journal_mode = WAL')
      // With WAL, a power failure can lose the last facts, but cannot damage the file.
      database.pragma('synchronous = NORMAL')
      opened ??= inodeOf(file) // the first write creates a new file
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
      // Another process may be creating the same tables, or switching the new file to WAL, for which SQLite does not
      // wait. Only at the start: later, callers go without the database rather than wait.
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
      // Another process with the same file may have noticed first, and created a new one.
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

/** Whether the file can be checked at each start: 2 s per GB if it is in memory. In larger ones, damage shows in use. */
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
