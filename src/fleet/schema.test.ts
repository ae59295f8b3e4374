import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Kysely, sql } from 'kysely'
import { openPool } from '../postgres/pool.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { createTables } from './schema.ts'

describe('the tables of a fleet', { skip: noPostgres, timeout: 120_000 }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  const open = async (url: string) => {
    const pool = await openPool({ url, queryTimeout: 3_000 })
    return { db: new Kysely<unknown>({ dialect: pool.dialect }), close: () => pool.close() }
  }
  const namesIn = (url: string, schema: string) =>
    server.run(
      url,
      `select relname, attname from pg_class join pg_attribute on attrelid = pg_class.oid
        where relnamespace = '${schema}'::regnamespace and attnum > 0 and not attisdropped order by 1, 2`,
    )

  it('are not locked when they exist', async () => {
    const { db, close } = await open(await server.database())
    await createTables(db)
    await db.transaction().execute(async (writing) => {
      await sql`update jobs set state = state`.execute(writing)
      await createTables(db)
    })
    await close()
  })

  it('are completed if an earlier version created them, by several processes at once', async () => {
    const url = await server.database()
    const all = await Promise.all([1, 2, 3].map(() => open(url)))
    await Promise.all(all.map(({ db }) => createTables(db)))
    const complete = await namesIn(url, 'public')
    await server.run(url, 'alter table jobs drop column survived; drop index jobs_key; drop table replicas')
    await Promise.all(all.map(({ db }) => createTables(db)))
    const names = (rows: typeof complete) => rows.filter(({ attname }) => attname !== 'survived')
    const again = await namesIn(url, 'public')
    assert.deepEqual(names(again), names(complete))
    assert.equal(again.length, complete.length)
    for (const { close } of all) await close()
  })

  it('are created in the first schema, even if others have tables of the same names', async () => {
    const url = await server.database()
    await server.run(url, `create table jobs (x int); create table about (x int); create schema own`)
    const { db, close } = await open(`${url}?options=-c%20search_path%3Down%2Cpublic`)
    await createTables(db)
    const names = await namesIn(url, 'own')
    assert.ok(names.some(({ relname, attname }) => relname === 'jobs' && attname === 'survived'))
    await close()
  })
})
