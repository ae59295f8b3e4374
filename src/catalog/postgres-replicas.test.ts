import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { inspect } from 'node:util'
import pg from 'pg'
import { hasCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { parseStorePath, type PathFacts } from '../image/store-path.ts'
import { openPool } from '../postgres/pool.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import type { ImageKey } from './catalog.ts'
import { parseAny, testKey } from './keys-testing.ts'
import { openPostgresCatalog } from './postgres.ts'
import { schemaVersion } from './schema.ts'

const facts = (index: number): PathFacts => ({
  storePath: parseStorePath(`/nix/store/${String(index).padStart(32, '0')}-p`),
  narHash: 'sha256-x',
  narSize: 1,
  references: [],
})

describe('a catalog in PostgreSQL, shared by replicas', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  /** The objects that a process opens. */
  const replica = async (url: string, warn: (line: string) => void = assert.fail) => {
    const postgres = await openPool({ url, most: 3 })
    try {
      const catalog = await openPostgresCatalog({ postgres, directUrl: url, warn, pause: 20 })
      const close = async () => {
        await catalog.close()
        await postgres.close()
      }
      return { ...catalog, close }
    } catch (error) {
      await postgres.close()
      throw error
    }
  }
  const replicas = (url: string, count: number) =>
    Promise.all(Array.from({ length: count }, () => replica(url)))

  it('is created by one of several starting processes, next to other tables, with columns that compare bytes', async () => {
    const url = await server.database()
    await server.run(url, 'create schema other; create table other.images (x int)')
    const all = await replicas(url, 5)
    await Promise.all(all.map((one, index) => one.rememberImage(testKey(`k${index}`), { index })))
    for (const [index, one] of all.entries()) {
      assert.deepEqual(await one.image(testKey(`k${(index + 1) % 5}`), parseAny), { index: (index + 1) % 5 })
    }
    for (const one of all) await one.close()
    const columns = await server.run(
      url,
      `select distinct collation_name from information_schema.columns
        where table_schema = 'public' and data_type = 'text'`,
    )
    assert.deepEqual(columns, [{ collation_name: 'C' }])
    const [order] = await server.run(url, `select 'a' < 'B' as mixed`)
    assert.deepEqual(order, { mixed: true }) // the database itself has a language's collation
  })

  it('is created in the first schema, even if others have tables of the same names', async () => {
    const url = await server.database()
    await server.run(url, 'create table about (x int); create schema own')
    const catalog = await replica(`${url}?options=-c%20search_path%3Down%2Cpublic`)
    await catalog.rememberImage(testKey('a'), { x: 1 })
    await catalog.close()
    assert.deepEqual(await server.run(url, `select count(*)::int as n from own.images`), [{ n: 1 }])
  })

  it('is used by two consecutive versions, while one of them changes the tables', async () => {
    const url = await server.database()
    const old = await replica(url)
    await old.rememberImage(testKey('a'), { by: 'old' })
    // As the previous version left it, and as the next one will.
    await server.run(
      url,
      `drop table leaders; alter table images drop column roots; update about set value = '${schemaVersion - 1}' where key = 'schema'`,
    )
    const [one, two] = await replicas(url, 2)
    assert.ok(one && two)
    await old.rememberImage(testKey('b'), { by: 'old' })
    assert.deepEqual(await one.image(testKey('b'), parseAny), { by: 'old' })
    await one.rememberRoots(testKey('b'), [])
    await server.run(
      url,
      `create table later (x int); alter table images add column later text; update about set value = '${schemaVersion + 1}' where key = 'schema'`,
    )
    const rolledBack = await replica(url)
    await rolledBack.rememberImage(testKey('c'), { by: 'this' })
    assert.deepEqual(await two.image(testKey('c'), parseAny), { by: 'this' })
    for (const each of [old, one, two, rolledBack]) await each.close()
    assert.deepEqual(await server.run(url, `select value from about where key = 'schema'`), [
      { value: String(schemaVersion + 1) },
    ])
  })

  it('stores concurrent writes in any order', async () => {
    const url = await server.database()
    const [one, two] = await replicas(url, 2)
    assert.ok(one && two)
    const all = Array.from({ length: 600 }, (_, index) => facts(index))
    const pulls = all.slice(0, 60).map((_, index) => ({
      repository: `r${index}`,
      tag: 't',
      architecture: 'amd64',
      image: testKey<ImageKey>(`i${index}`),
      at: index % 7,
      count: 1,
      record: {},
    }))
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([
        one.rememberPathFacts(all),
        two.rememberPathFacts(all.toReversed()),
        one.rememberPulls(pulls),
        two.rememberPulls(pulls.toReversed()),
      ])
    }
    assert.deepEqual(
      (await two.mostPulled(1)).map(({ pulls: count }) => count),
      [10],
    )
    await one.close()
    await two.close()
  })

  it('serves from memory while the database is stopped, and catches up afterwards', async () => {
    const url = await server.database()
    const warnings: string[] = []
    const catalog = await replica(url, (line) => warnings.push(line))
    const [kept, gone] = [digestOf('kept'), digestOf('gone')]
    await catalog.rememberImage(testKey('a'), { x: 1 })
    for (const digest of [kept, gone]) await catalog.rememberBlob(digest, 5)
    await server.stop('SIGKILL')
    assert.deepEqual(await catalog.image(testKey('a'), parseAny), { x: 1 })
    assert.equal(await catalog.blobSize(kept), 5)
    assert.equal(await catalog.image(testKey('unknown'), parseAny), undefined)
    await catalog.forgetBlob(gone)
    assert.equal(await catalog.blobSize(gone), undefined)
    await assert.rejects(catalog.apiKeys.find('k'), (error) => hasCode(error, 'STORE_UNAVAILABLE'))
    const late = await replica(url, () => {})
    await server.start()
    const isBack = (one: typeof catalog) =>
      one.apiKeys.list().then(
        () => true,
        () => false,
      )
    while (!(await isBack(catalog))) await sleep(20)
    while (!(await isBack(late))) await sleep(20)
    assert.equal(await late.blobSize(kept), 5)
    assert.equal(await late.blobSize(gone), undefined)
    assert.equal(await catalog.blobSize(gone), undefined)
    assert.match(warnings[0] ?? '', /^the catalog fails and is not used for a while/)
    assert.doesNotMatch(warnings[0] ?? '', /(ECONN\w+).*\1/)
    await late.close()
    await catalog.close()
  })

  it('sends no statement for cached rows, and one for others', async (context) => {
    const [one, two] = await replicas(await server.database(), 2)
    assert.ok(one && two)
    await one.rememberImage(testKey('a'), { x: 1 })
    await one.rememberBlob(digestOf('a'), 5)
    const query = context.mock.method(pg.Client.prototype, 'query')
    for (const [catalog, questions] of [
      [one, 0],
      [two, 2],
      [two, 2],
    ] as const) {
      assert.deepEqual(await catalog.image(testKey('a'), parseAny), { x: 1 })
      assert.equal(await catalog.blobSize(digestOf('a')), 5)
      assert.equal(query.mock.callCount(), questions)
    }
    await one.close()
    await two.close()
  })

  it('continues after a value that it cannot store', async () => {
    const warnings: string[] = []
    const catalog = await replica(await server.database(), (line) => warnings.push(line))
    // Longer than an entry of an index may be, even compressed.
    const noise = Array.from({ length: 200 }, (_, index) => digestOf(String(index))).join(' ')
    await catalog.rememberCacheFiles([{ address: `https://a/${noise}`, text: 'x', askedAt: 1 }])
    assert.match(warnings.join('\n'), /^the catalog cannot store or find something: 54000/)
    assert.deepEqual(await catalog.apiKeys.list(), [])
    await catalog.close()
  })

  it('reports why it cannot be opened, without the password', async () => {
    const { host } = new URL(await server.database())
    const url = `postgresql://postgres:hunter2@${host}/none`
    await assert.rejects(replica(url), (error) => {
      assert.ok(hasCode(error, 'STORE_UNAVAILABLE'))
      const text = inspect(error, { depth: 9, showHidden: true })
      assert.match(text, /database "none" does not exist/)
      assert.doesNotMatch(text, /hunter2/)
      return true
    })
  })
})
