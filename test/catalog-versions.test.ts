import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import Database from 'better-sqlite3'
import type { Catalog } from '../src/catalog/catalog.ts'
import { digestOf } from '../src/image/digest.ts'
import { facts, factsOf, layer, openFile, setAsideOf } from './support/catalogs.ts'
import { parseAny, testKey } from '../src/catalog/keys-testing.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-versions-'))
})
after(() => rm(directory, { recursive: true }))

let files = 0
const newFile = () => join(directory, `catalog-${(files += 1)}.db`)
const run = (file: string, statements: readonly string[]) => {
  const database = new Database(file)
  try {
    for (const statement of statements) database.exec(statement)
  } finally {
    database.close()
  }
}
const query = (file: string, statement: string): unknown[] => {
  const database = new Database(file)
  try {
    return database.prepare(statement).all()
  } finally {
    database.close()
  }
}
/** The statements with which an earlier version created and filled its catalog. */
const versionOf = (name: string) => {
  const text = readFileSync(join(import.meta.dirname, 'fixtures', name), 'utf8')
  const all = text.split('\n').filter((line) => line.endsWith(';'))
  const isWrite = (line: string) => /^(insert|update) /.test(line)
  return { all, writes: all.filter(isWrite), tables: all.filter((line) => !isWrite(line)) }
}
const versions = ['catalog-1.sql', 'catalog-2.sql']

/** Opens a file with this version; fails if it warns or sets the file aside. */
async function use(file: string, work: (catalog: Catalog) => Promise<void>): Promise<void> {
  const { catalog, warnings } = await openFile(file)
  await work(catalog)
  await catalog.close()
  assert.deepEqual(warnings, [])
  assert.deepEqual(await setAsideOf(file), [])
}
async function assertKnown(catalog: Catalog): Promise<void> {
  assert.equal((await catalog.resolutions([testKey('resolution')], parseAny)).size, 1)
  assert.equal(await factsOf(catalog, 1), 'sha256-a')
  assert.deepEqual(await catalog.layer(testKey('layer 1')), layer('1'))
  assert.equal((await catalog.members([testKey('member')])).size, 1)
  assert.equal(await catalog.blobSize(digestOf('1')), 7)
  assert.deepEqual(await catalog.image(testKey('image'), parseAny), { manifests: {} })
  assert.deepEqual(await catalog.tags('shell/git', { limit: 9 }), ['latest'])
  const [image] = await catalog.upkeep.images({ limit: 9 }, parseAny)
  assert.deepEqual([image?.madeAt, image?.pulledAt], [1_750_000_000, 1_760_000_000])
}
const remember = async (catalog: Catalog) => {
  await catalog.rememberResolutions(new Map([[testKey('resolution'), {}]]))
  await catalog.rememberPathFacts([facts(1)])
  await catalog.rememberLayer(testKey('layer 1'), layer('1'), [])
  await catalog.rememberBlob(digestOf('1'), 7)
  await catalog.rememberImage(testKey('image'), { manifests: {} }, 1_750_000_000)
}

// Changes that a later version may make: additions to the schema, and values that this version does not know.
const later = [
  'ALTER TABLE layers ADD COLUMN format text',
  'ALTER TABLE images ADD COLUMN seen_on bigint NOT NULL DEFAULT 7',
  'ALTER TABLE resolutions ADD COLUMN made_by text',
  'CREATE TABLE grants (key text primary key, value text not null)',
  "INSERT INTO grants VALUES ('a', 'b')",
  'CREATE INDEX layers_format ON layers (format)',
  `INSERT INTO layers (key, digest, diff_id, size, compression, format)
   SELECT 'layer of later', digest, diff_id, size, 'brotli', 'blocks' FROM layers WHERE key = 'layer 1'`,
  "INSERT INTO images (key, image, made_at) VALUES ('image of later', '{\"form\":3}', 1770000000)",
  "INSERT INTO images (key, image, made_at) VALUES ('a binary image', x'00ff', 1770000000)",
  "INSERT INTO blobs (digest, size) VALUES ('blake3:00', 7)",
  'PRAGMA user_version = 1000',
]

for (const version of versions) {
  const { all, writes, tables } = versionOf(version)
  describe(`a catalog as in ${version}`, () => {
    it('is read completely, and remains usable by that version', async () => {
      const file = newFile()
      run(file, all)
      await use(file, assertKnown)
      // The first version expects exactly its two migrations.
      const names = query(file, 'SELECT name FROM kysely_migration ORDER BY timestamp, name')
      assert.deepEqual(names, [{ name: '0001' }, { name: '0002' }])
      run(file, writes)
      await use(file, assertKnown)
    })

    it('is completed if that version was killed while creating it', async () => {
      // Missing statements are made up for independently, so a few of the possible moments suffice.
      for (let count = 0; count < tables.length; count += 7) {
        const file = newFile()
        run(file, tables.slice(0, count))
        await use(file, remember)
        assert.equal(query(file, "SELECT * FROM about WHERE key = 'born'").length, 1)
        run(file, writes)
        await use(file, assertKnown)
      }
    })

    it('can be written by that version if this version created it', async () => {
      const file = newFile()
      await use(file, remember)
      const names = query(file, 'SELECT name FROM kysely_migration ORDER BY timestamp, name')
      assert.deepEqual(names, [{ name: '0001' }, { name: '0002' }])
      assert.equal(query(file, 'SELECT * FROM kysely_migration_lock WHERE is_locked = 0').length, 1)
      run(file, writes)
      await use(file, assertKnown)
    })
  })
}

describe('a catalog of a later version', () => {
  it('is used except for unreadable rows, and loses nothing', async () => {
    const file = newFile()
    run(file, versionOf('catalog-2.sql').all)
    await use(file, assertKnown)
    run(file, later)
    await use(file, async (catalog) => {
      assert.equal(await catalog.layer(testKey('layer of later')), undefined)
      assert.deepEqual(
        [...(await catalog.layers([testKey('layer 1'), testKey('layer of later')])).keys()],
        ['layer 1'],
      )
      assert.equal(await catalog.image(testKey('a binary image'), parseAny), undefined)
      assert.deepEqual(await catalog.image(testKey('image'), parseAny), { manifests: {} })
      // Pages of one row skip unreadable rows.
      assert.deepEqual(await catalog.upkeep.blobs({ limit: 1 }), [
        { digest: digestOf('1'), usedAt: undefined, withdrawn: false },
      ])
      assert.deepEqual(await catalog.upkeep.blobs({ after: digestOf('1'), limit: 1 }), [])
      const keys = (await catalog.upkeep.images({ limit: 9 }, parseAny)).map(({ key }) => key)
      assert.ok(keys.includes(testKey('image of later')))
      await remember(catalog)
      await catalog.rememberLayer(testKey('layer of later'), layer('2'), [])
      assert.deepEqual(await catalog.layer(testKey('layer of later')), layer('2'))
    })
    assert.deepEqual(query(file, 'PRAGMA user_version'), [{ user_version: 1000 }])
    assert.deepEqual(query(file, 'SELECT * FROM grants'), [{ key: 'a', value: 'b' }])
    assert.equal(query(file, "SELECT * FROM images WHERE key = 'a binary image'").length, 1)
  })
})
