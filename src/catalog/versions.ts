import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Database from 'better-sqlite3'
import { foldVersion } from '../image/version.ts'

/** A version of a package, and the newest commit known to have it. */
export type PackageVersion = {
  /** The attribute path, joined with dots. */
  readonly attribute: string
  readonly version: string
  /** A commit of the package set's repository: 40 hexadecimal digits. */
  readonly commit: string
  /** The time of the commit, in seconds since 1970. */
  readonly at: number
}

/**
 * An index of the commits that contain given versions of packages, in a separate SQLite file. Its entries are hints:
 * whether a commit is allowed is checked when it is used. Like the catalog, it counts as empty when it fails.
 */
export type VersionIndex = {
  /** Changes with every change of the index, by any process. */
  generation(): number
  /**
   * The versions of a package, in no particular order.
   * @param source the repository (`History.id`)
   * @param attribute case-insensitive, and without regard to a "_" before a leading digit
   */
  find(source: string, attribute: string): PackageVersion[]
  /** Adds versions. If two commits have a version, the newer one is kept. @returns the number of new or newer rows */
  add(source: string, versions: Iterable<PackageVersion>): number
  /** Records that all packages of a commit were added; returns whether they were. */
  noteWhole(source: string, commit: string): void
  isWhole(source: string, commit: string): boolean
  /** All versions of a source, by attribute and version. */
  all(source: string): Iterable<PackageVersion>
  close(): void
}

const schema = `
  create table if not exists versions (
    source text not null, name text not null, folded text not null,
    attribute text not null, version text not null, commit_id text not null, at integer not null,
    primary key (source, name, folded)
  ) without rowid;
  create table if not exists whole (source text not null, commit_id text not null, primary key (source, commit_id)) without rowid;`

/** A name in the form for comparisons: see packages/policy.ts. */
const comparable = (attribute: string): string =>
  attribute
    .toLowerCase()
    .split('.')
    .map((part) => part.replace(/^_(?=\d)/, ''))
    .join('.')

type Row = { attribute: string; version: string; commit_id: string; at: number }
const ofRow = ({ attribute, version, commit_id: commit, at }: Row): PackageVersion => ({
  attribute,
  version,
  commit,
  at,
})

// Rows per transaction, so that an import does not lock out the server for long.
const perTransaction = 2_000

/**
 * @param file `:memory:` for tests
 * @param warn receives a line when the index starts to fail
 */
export function openVersionIndex(file: string, warn: (line: string) => void): VersionIndex {
  let failed = false
  const tolerant = <T>(otherwise: T, work: () => T): T => {
    try {
      const result = work()
      failed = false
      return result
    } catch (error) {
      if (!failed)
        warn(`the index of versions fails: ${error instanceof Error ? error.message : String(error)}`)
      failed = true
      return otherwise
    }
  }
  const database = tolerant(undefined, () => {
    // With PostgreSQL, nothing else creates the data folder.
    if (file !== ':memory:') mkdirSync(dirname(file), { recursive: true })
    const opened = new Database(file, { timeout: 2_000 })
    opened.pragma('journal_mode = wal')
    opened.exec(schema)
    return opened
  })
  if (!database) return noIndex
  const ask = (text: string) => database.prepare<unknown[], Row>(text)
  const found = ask('select attribute, version, commit_id, at from versions where source = ? and name = ?')
  const everything = ask(
    'select attribute, version, commit_id, at from versions where source = ? order by name, folded',
  )
  const insert = database.prepare(
    `insert into versions (source, name, folded, attribute, version, commit_id, at) values (?, ?, ?, ?, ?, ?, ?)
     on conflict do update set attribute = excluded.attribute, version = excluded.version,
       commit_id = excluded.commit_id, at = excluded.at
     where excluded.at > at`,
  )
  const insertWhole = database.prepare('insert or ignore into whole (source, commit_id) values (?, ?)')
  const findWhole = database.prepare('select 1 from whole where source = ? and commit_id = ?')
  // SQLite's own counter covers other connections only.
  let own = 0

  return {
    generation: () =>
      tolerant(0, () => own * 1e9 + Number(database.pragma('data_version', { simple: true }))),
    find: (source, attribute) => tolerant([], () => found.all(source, comparable(attribute)).map(ofRow)),
    add: (source, versions) =>
      tolerant(0, () => {
        let changed = 0
        const addSome = database.transaction((some: readonly PackageVersion[]) => {
          for (const { attribute, version, commit, at } of some) {
            const folded = foldVersion(version)
            if (folded === '') continue
            changed += insert.run(
              source,
              comparable(attribute),
              folded,
              attribute,
              version,
              commit,
              at,
            ).changes
          }
        })
        for (const some of chunks(versions, perTransaction)) addSome.immediate(some)
        if (changed > 0) own += 1
        return changed
      }),
    noteWhole: (source, commit) => tolerant(undefined, () => void insertWhole.run(source, commit)),
    isWhole: (source, commit) => tolerant(false, () => findWhole.get(source, commit) !== undefined),
    *all(source) {
      for (const row of everything.iterate(source)) yield ofRow(row)
    },
    close: () => tolerant(undefined, () => void database.close()),
  }
}

/** The index if the file cannot be opened. */
const noIndex: VersionIndex = {
  generation: () => 0,
  find: () => [],
  add: () => 0,
  noteWhole() {},
  isWhole: () => false,
  all: () => [],
  close() {},
}

function* chunks<T>(items: Iterable<T>, size: number): Generator<T[]> {
  let chunk: T[] = []
  for (const item of items) {
    chunk.push(item)
    if (chunk.length < size) continue
    yield chunk
    chunk = []
  }
  if (chunk.length > 0) yield chunk
}
