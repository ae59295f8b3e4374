import assert from 'node:assert/strict'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import Database from 'better-sqlite3'
import { dayOf } from '../catalog/row-uses.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import type { Catalog } from '../catalog/catalog.ts'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { forgetRows, revisionDays } from './forget.ts'
import { testKey } from '../catalog/keys-testing.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-forget-'))
})
after(() => rm(directory, { recursive: true }))

const now = Date.now() / 1000
const today = dayOf(now)
const days = 90
const pathOf = (index: number): StorePath =>
  parseStorePath(`/nix/store/${String(index).padStart(32, '0')}-p${index}`)

let files = 0
type Opened = { readonly catalog: Catalog; readonly database: Database.Database; readonly file: string }
/** Opens a catalog, and its file a second time, like another process. */
async function open(t: { after(work: () => Promise<void>): void }): Promise<Opened> {
  const file = join(directory, `catalog-${(files += 1)}.db`)
  const catalog = await openSqliteCatalog(file)
  const database = new Database(file)
  t.after(async () => {
    database.close()
    await catalog.close()
  })
  return { catalog, database, file }
}

/** Inserts rows that were last used this many days ago; null is for rows of earlier versions. */
function fill(
  { database }: Opened,
  {
    resolutions = [],
    paths = [],
  }: {
    resolutions?: readonly (readonly [key: string, revision: string | null, daysAgo: number | null])[]
    paths?: readonly (readonly [index: number, daysAgo: number | null, references?: readonly number[]])[]
  },
): void {
  const dayAgo = (count: number | null) => (count === null ? null : today - count)
  const insert = database.prepare('INSERT INTO resolutions VALUES (?, ?, ?, ?)')
  const insertPath = database.prepare(
    'INSERT INTO paths (store_path, nar_hash, nar_size, path_references, used_on) VALUES (?, ?, 1, ?, ?)',
  )
  database.transaction(() => {
    for (const [key, revision, daysAgo] of resolutions) {
      insert.run(key, JSON.stringify({ status: 'missing', nearest: [] }), revision, dayAgo(daysAgo))
    }
    for (const [index, daysAgo, references = []] of paths) {
      insertPath.run(
        pathOf(index),
        `sha256-${index}`,
        JSON.stringify(references.map(pathOf)),
        dayAgo(daysAgo),
      )
    }
  })()
}
const keysIn = ({ database }: Opened) =>
  database.prepare('SELECT key FROM resolutions ORDER BY key').pluck().all()
const pathsIn = ({ database }: Opened) =>
  database.prepare('SELECT store_path FROM paths ORDER BY store_path').pluck().all()

describe('the removal of unused rows', () => {
  it('removes old rows, and superseded revisions earlier', async (t) => {
    const opened = await open(t)
    fill(opened, {
      resolutions: [
        ['old', 'a', 91],
        ['not yet', 'a', 90],
        ['without revision, old', null, 91],
        ['without revision', null, 89],
        ['superseded', 'b', revisionDays + 1],
        ['superseded, too', 'b', revisionDays + 2],
        ['recently used', 'c', revisionDays],
        ['of a revision in use', 'c', 80],
        ['of the current one', 'd', 0],
      ],
      paths: [
        [1, 91],
        [2, 90],
      ],
    })
    assert.deepEqual(await forgetRows(opened.catalog, { days, now }), { resolutions: 5, paths: 1 })
    assert.deepEqual(keysIn(opened), [
      'of a revision in use',
      'of the current one',
      'recently used',
      'without revision',
    ])
    assert.deepEqual(pathsIn(opened), [pathOf(2)])
  })

  it('keeps the last used revision if nothing is pulled', async (t) => {
    const opened = await open(t)
    fill(opened, {
      resolutions: [
        ['before', 'a', 41],
        ['last', 'b', 40],
      ],
    })
    await forgetRows(opened.catalog, { days, now })
    assert.deepEqual(keysIn(opened), ['last'])
  })

  it('keeps the paths of an image as long as the image', async (t) => {
    const opened = await open(t)
    fill(opened, {
      paths: [
        [1, 200, [2]],
        [2, 200, [3, 2]],
        [3, 200],
        [4, 200, [3]],
      ],
    })
    await opened.catalog.rememberImage(testKey('image'), {}, 1)
    opened.database.prepare('UPDATE images SET roots = ?').run(JSON.stringify([pathOf(1)]))
    assert.deepEqual(await forgetRows(opened.catalog, { days, now }), { resolutions: 0, paths: 1 })
    assert.deepEqual(pathsIn(opened), [pathOf(1), pathOf(2), pathOf(3)])
    await opened.catalog.upkeep.forgetImages([testKey('image')], today * 86_400)
    await forgetRows(opened.catalog, { days, now: now + 91 * 86_400 })
    assert.deepEqual(pathsIn(opened), [])
  })

  it('removes old responses of binary caches, and those about missing files after a day', async (t) => {
    const { catalog } = await open(t)
    const file = (address: string, daysAgo: number, text?: string) => ({
      address,
      text,
      askedAt: Math.floor(now - daysAgo * 86_400),
    })
    const all = [file('a', days + 1, 'x'), file('b', days - 1, 'x'), file('c', 2), file('d', 0)]
    await catalog.rememberCacheFiles(all)
    await forgetRows(catalog, { days, now })
    const left = await catalog.cacheFiles(all.map(({ address }) => address))
    assert.deepEqual(left.map(({ address }) => address).sort(), ['b', 'd'])
  })

  it('counts the age of rows of earlier versions from its first run', async (t) => {
    const opened = await open(t)
    fill(opened, { resolutions: [['a', null, null]], paths: [[1, null]] })
    for (const [later, left] of [
      [0, 1],
      [90, 1],
      [91, 0],
    ] as const) {
      await forgetRows(opened.catalog, { days, now: now + later * 86_400 })
      assert.deepEqual([keysIn(opened).length, pathsIn(opened).length], [left, left])
    }
  })

  it('handles 200,000 rows, frees space, and allows other processes to write', async (t) => {
    const opened = await open(t)
    const count = 100_000
    // Like `fill`: of four rows, one was used three days ago and three a hundred; each path refers to another.
    const some = `WITH RECURSIVE some(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM some WHERE i < ${count - 1})`
    const usedOn = `${today} - iif(i % 4, 100, 3)`
    const path = (i: string) => `printf('/nix/store/%032d-p%d', ${i}, ${i})`
    opened.database.exec(`
      ${some} INSERT INTO resolutions SELECT 'name ' || i, '{}', 'revision ' || (i % 50), ${usedOn} FROM some;
      ${some} INSERT INTO paths (store_path, nar_hash, nar_size, path_references, used_on) SELECT ${path('i')}, 'sha256-a', 1, json_array(${path('i / 2')}), ${usedOn} FROM some;
    `)
    await opened.catalog.rememberImage(testKey('image'), {})
    opened.database.prepare('UPDATE images SET roots = ?').run(JSON.stringify([pathOf(1_000)]))
    opened.database.pragma('wal_checkpoint(TRUNCATE)')
    const { size } = await stat(opened.file)

    const ended = new AbortController()
    let writes = 0
    const forgetting = forgetRows(opened.catalog, { days, now }).finally(() => ended.abort())
    // Another process that does not wait for locks.
    opened.database.pragma('busy_timeout = 0')
    while (!ended.signal.aborted) {
      opened.database.prepare("INSERT OR REPLACE INTO about VALUES ('other', ?)").run(String((writes += 1)))
      await setTimeout(5)
    }
    const stay = count / 4
    assert.deepEqual(await forgetting, { resolutions: count - stay, paths: count - stay - 8 })
    assert.equal(keysIn(opened).length, stay)
    assert.equal(pathsIn(opened).length, stay + 8)
    assert.ok(writes > 10)
    opened.database.pragma('wal_checkpoint(TRUNCATE)')
    assert.ok((await stat(opened.file)).size < 0.5 * size)
    assert.equal(opened.database.pragma('integrity_check', { simple: true }), 'ok')
  })
})
