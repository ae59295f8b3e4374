import assert from 'node:assert/strict'
import { hash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import Database from 'better-sqlite3'
import { execa } from 'execa'
import { closureOf, factsOf } from '../../closure/testing.ts'
import type { PathFacts } from '../../image/store-path.ts'
import { nixDatabase } from './database.ts'

let directory: string
before(() => {
  directory = mkdtempSync(join(tmpdir(), 'nixery-database-'))
})
after(() => rmSync(directory, { recursive: true }))

/** A closure of this size, in which each path refers to itself and some earlier ones. Names have all lengths. */
function closureOfSize(count: number): PathFacts[] {
  const name = (index: number) => `n${index}-${'x'.repeat((index * 37) % 200)}`
  const table = Object.fromEntries(
    Array.from({ length: count }, (_, index) => {
      const references = [0, 1, 2, 7, 31].filter((back) => index >= back * back).map((back) => index - back)
      return [name(index), [index ** 3 * 1000 + 1, [...new Set(references)].map(name)] as const] as const
    }),
  )
  return [...closureOf(Object.keys(table), table).paths.values()]
}

/** Opens the database with SQLite, and checks its integrity. */
function open(bytes: Buffer): Database.Database {
  const file = join(directory, `${hash('sha256', bytes)}.sqlite`)
  writeFileSync(file, bytes)
  const database = new Database(file, { readonly: true })
  assert.deepEqual(database.pragma('integrity_check'), [{ integrity_check: 'ok' }])
  assert.deepEqual(database.pragma('foreign_key_check'), [])
  return database
}

/** Reads the facts in the database. */
function read(database: Database.Database): PathFacts[] {
  const refs = database.prepare<[], { a: PathFacts['storePath']; b: PathFacts['storePath'] }>(
    `select f.path as a, t.path as b from Refs join ValidPaths f on f.id = referrer join ValidPaths t on t.id = reference
     order by f.path, t.path`,
  )
  const references = Map.groupBy(refs.all(), ({ a }) => a)
  type Valid = { path: PathFacts['storePath']; hash: string; narSize: number }
  return database
    .prepare<[], Valid>('select path, hash, narSize from ValidPaths order by path')
    .all()
    .map(({ path, hash: narHash, narSize }) => ({
      storePath: path,
      narHash: `sha256-${Buffer.from(narHash.replace('sha256:', ''), 'hex').toString('base64')}`,
      narSize,
      references: (references.get(path) ?? []).map(({ b }) => b),
    }))
}

const sorted = (facts: readonly PathFacts[]): PathFacts[] =>
  facts.map((one) => ({ ...one, references: one.references.toSorted() }))

describe('nixDatabase', () => {
  // With 6,000 references the indexes have three levels.
  for (const count of [0, 1, 2, 8, 1200]) {
    it(`is read by SQLite with ${count} paths`, () => {
      const facts = closureOfSize(count)
      const database = open(nixDatabase(facts))
      assert.deepEqual(read(database), sorted(facts))
      const { n } = database.prepare<[], { n: number }>('select count(*) as n from Refs').get() ?? { n: -1 }
      assert.equal(n, facts.flatMap(({ references }) => references).length)
      database.close()
    })
  }

  it('is valid at all sizes around those of full pages', () => {
    const facts = closureOfSize(60)
    for (let count = 2; count < 60; count += 1) {
      const paths = facts.slice(0, count)
      const known = new Set(paths.map(({ storePath }) => storePath))
      const within = paths.map((one) => ({
        ...one,
        references: one.references.filter((path) => known.has(path)),
      }))
      const database = open(nixDatabase(within))
      assert.deepEqual(read(database), sorted(within), `${count}`)
      database.close()
    }
  })

  it('is the same on every machine', () => {
    const facts = [...factsOf({ a: [96, ['b', 'a']], b: [2 ** 40, []] }).values()]
    const digest = hash('sha256', nixDatabase(facts))
    assert.equal(digest, '0ad91e4f294afaa24de668b88b7a61f01331cc37ca352655b6ce42e5b4ebe071')
  })

  it('has the schema of Nix', async () => {
    const state = join(directory, 'state')
    const env = {
      NIX_STATE_DIR: state,
      NIX_STORE_DIR: join(directory, 'store'),
      NIX_CONFIG: 'build-users-group =',
    }
    await execa('nix-store', ['--init'], { env })
    const schemaOf = (database: Database.Database) =>
      database
        .prepare<[], { type: string; name: string; sql: string | null }>(
          `select type, name, tbl_name, sql from sqlite_schema where name not like '%SchemaMigrations%'`,
        )
        .all()
    const original = new Database(join(state, 'db', 'db.sqlite'), { readonly: true })
    assert.deepEqual(schemaOf(open(nixDatabase([]))), schemaOf(original))
  })
})
