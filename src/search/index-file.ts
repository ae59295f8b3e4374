import { rmSync } from 'node:fs'
import Database from 'better-sqlite3'
import { inOrder, wordsOf, wordsOfName, type PackageEntry } from './entry.ts'

/**
 * The version of the files. Increment it when the schema changes, or when the same packages result in another index: files
 * of other versions are not read.
 */
export const indexFormat = 2

// There is one file for each package set, revision and policy, which is written once and never changed. `packages` are
// numbered in the order of results. The virtual table uses the same numbers and stores no texts: SQLite returns its
// rows in this order and stops at the limit, so no ranking is needed.
const schema = `
  create table about (key text primary key, value text not null) without rowid;
  create table packages (
    id integer primary key, name text not null, attribute text not null, pname text not null, version text not null,
    description text, homepage text, license text, programs text not null
  );
  create unique index packages_by_name on packages (name);
  create table programs (program text not null, id integer not null, primary key (program, id)) without rowid;
  create virtual table words using fts5(
    name, programs, description, content = '', columnsize = 0, prefix = '1 2 3 4 5 6', tokenize = 'unicode61 remove_diacritics 2'
  );`

/** The metadata of an index. */
export type IndexFacts = {
  readonly revision: string
  /** Identifies the rules by which packages are in the index. */
  readonly rules: string
  /** Milliseconds since 1970. */
  readonly madeAt: number
  readonly packages: number
}

/**
 * Writes an index to a new file. It takes seconds for a hundred thousand packages, so it runs in a thread.
 * @throws what SQLite throws; then the file is removed
 */
export function writeIndex(
  file: string,
  { revision, rules, madeAt }: Omit<IndexFacts, 'packages'>,
  entries: Iterable<PackageEntry>,
): void {
  const database = new Database(file)
  try {
    database.pragma('journal_mode = off')
    database.pragma('synchronous = off')
    database.exec(schema)
    database.pragma(`user_version = ${indexFormat}`)
    const insert = database.prepare('insert into packages values (?, ?, ?, ?, ?, ?, ?, ?, ?)')
    const insertWords = database.prepare(
      'insert into words (rowid, name, programs, description) values (?, ?, ?, ?)',
    )
    const insertProgram = database.prepare('insert or ignore into programs values (?, ?)')
    const insertFact = database.prepare('insert into about values (?, ?)')
    database.transaction(() => {
      let id = 0
      for (const entry of inOrder(entries)) {
        id += 1
        const { name, attribute, pname, version, description, homepage, license, programs } = entry
        const texts = [name, attribute, pname, version, description, homepage, license]
        insert.run(id, ...texts, programs.join('\n'))
        insertWords.run(
          id,
          wordsOfName(entry),
          programs.flatMap(wordsOf).join(' '),
          wordsOf(description ?? '').join(' '),
        )
        for (const program of programs) insertProgram.run(program.toLowerCase(), id)
      }
      insertFact.run('revision', revision)
      insertFact.run('rules', rules)
      insertFact.run('madeAt', String(madeAt))
      insertFact.run('packages', String(id))
      database.exec("insert into words (words) values ('optimize')")
    })()
    database.close()
  } catch (error) {
    if (database.open) database.close()
    rmSync(file, { force: true })
    throw error
  }
}

const damage = ['SQLITE_CORRUPT', 'SQLITE_NOTADB', 'SQLITE_IOERR_SHORT_READ']

/** Reads a whole index. @throws SQLite's errors, except those about damage */
export function isUndamaged(file: string): boolean {
  const database = new Database(file, { readonly: true, fileMustExist: true })
  try {
    return database.pragma('quick_check(1)', { simple: true }) === 'ok'
  } catch (error) {
    if (error instanceof Database.SqliteError && damage.some((code) => error.code.startsWith(code)))
      return false
    throw error
  } finally {
    database.close()
  }
}

/** An entry that was found: its number in this index, and its name. */
export type Match = { readonly id: number; readonly name: string }

/** An open index. Its methods throw SQLite's errors. */
export type IndexFile = IndexFacts & {
  readonly file: string
  /** The entries of a name. */
  get(name: string): PackageEntry | undefined
  /** Yields the best entries for some words, up to a limit and each once, in batches, best first. */
  matches(text: string, most: number): Iterable<Match>
  /** An entry by its number. */
  entry(id: number): PackageEntry | undefined
  /** The names of packages with a program of exactly this name, or with this name in a nested set. */
  called(word: string): string[]
  close(): void
}

type Row = { [Column in keyof PackageEntry]: PackageEntry[Column] | null } & { programs: string }

const ofRow = (row: Row): PackageEntry => ({
  name: row.name ?? '',
  attribute: row.attribute ?? '',
  pname: row.pname ?? '',
  version: row.version ?? '',
  description: row.description ?? undefined,
  homepage: row.homepage ?? undefined,
  license: row.license ?? undefined,
  programs: row.programs === '' ? [] : row.programs.split('\n'),
})

// The maximum number of words of a query.
const mostWords = 8
// The maximum number of packages that `called` reads.
const mostCalled = 200

/** @throws SQLite's errors, also for a file that is not an index of this version */
export function openIndex(file: string): IndexFile {
  const database = new Database(file, { readonly: true, fileMustExist: true })
  try {
    const format = database.pragma('user_version', { simple: true })
    if (format !== indexFormat)
      throw new Error(`it has the format ${String(format)} instead of ${indexFormat}`)
    database.pragma('mmap_size = 268435456')
    const fact = database.prepare<[string], string>('select value from about where key = ?').pluck()
    const facts = {
      revision: fact.get('revision') ?? '',
      rules: fact.get('rules') ?? '',
      madeAt: Number(fact.get('madeAt')),
      packages: Number(fact.get('packages')),
    }
    const byId = database.prepare<[number], Row>('select * from packages where id = ?')
    const byName = database.prepare<[string], Row>('select * from packages where name = ?')
    const matchOf = database.prepare<[string], Match>('select id, name from packages where name = ?')
    const byProgram = database.prepare<[string, number], Match>(
      `select id, name from (select id from programs where program = ? order by id limit ?)
        cross join packages using (id) order by id`,
    )
    // `cross join` makes SQLite start with the words.
    const byWords = database.prepare<[string, number], Match>(
      `select id, name from (select rowid as id from words where words match ? order by rowid limit ?)
        cross join packages using (id) order by id`,
    )

    /** The best entries, some more than once; `most` is called for each batch. */
    const batches = function* (text: string, most: () => number): Generator<Match> {
      const whole = text.trim().toLowerCase()
      const exact = matchOf.get(whole)
      if (exact) yield exact
      yield* byProgram.all(whole, most())
      for (const query of queriesFor(text)) yield* byWords.all(query, most())
    }

    return {
      ...facts,
      file,
      get(name) {
        const row = byName.get(name)
        return row && ofRow(row)
      },
      *matches(text, most) {
        const seen = new Set<number>()
        // Entries may be repeated any number of times.
        for (const match of batches(text, () => most + seen.size)) {
          if (seen.has(match.id)) continue
          seen.add(match.id)
          yield match
          if (seen.size >= most) return
        }
      },
      entry(id) {
        const row = byId.get(id)
        return row && ofRow(row)
      },
      called(word) {
        const tail = `.${word.toLowerCase()}`
        const [first] = wordsOf(word)
        const nested = first === undefined ? [] : byWords.all(`name : "${first}"`, mostCalled)
        const named = ({ name }: Match) => name
        return [
          ...byProgram.all(word.toLowerCase(), mostCalled).map(named),
          ...nested.map(named).filter((name) => name.endsWith(tail)),
        ]
      },
      close: () => void database.close(),
    }
  } catch (error) {
    database.close()
    throw error
  }
}

/**
 * The FTS5 queries, best first: complete words before prefixes, and names before programs before descriptions. Words
 * contain only letters and digits, so quotes are enough.
 */
function queriesFor(text: string): string[] {
  const words = wordsOf(text).slice(0, mostWords)
  const last = words.pop()
  if (last === undefined) return []
  const before = words.map((word) => `"${word}"`)
  // SQLite has indexes of prefixes up to 6 characters; for longer ones it first builds a list.
  const forms = [
    [...before, `"${last}"`],
    [...before, `"${last}"*`],
  ]
  const inColumns = (columns: string) => forms.map((form) => `${columns}(${form.join(' AND ')})`)
  const first = forms.map(([begin, ...rest]) =>
    [`name : ^ ${begin}`, ...rest.map((word) => `name : ${word}`)].join(' AND '),
  )
  return [...first, ...inColumns('{name programs} : '), ...inColumns('')]
}
