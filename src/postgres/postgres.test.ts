import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely, sql } from 'kysely'
import { isConflict, isDisconnected, isPassing } from './errors.ts'
import { openListener } from './listener.ts'
import { openNetwork } from '../../test/support/network.ts'
import { openPool } from './pool.ts'
import { retrying } from './retry.ts'
import { noPostgres, startPostgres, type TestPostgres } from './testing.ts'

const options = { skip: noPostgres, timeout: 300_000 }

/** Waits with a timeout that suffices on a busy machine. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(10)
}

describe('PostgreSQL', options, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  const openOn = async (url: string, queryTimeout?: number) => {
    const pool = await openPool({ url, most: 2, ...(queryTimeout !== undefined && { queryTimeout }) })
    return { db: new Kysely<{ t: { key: string; n: number } }>({ dialect: pool.dialect }), pool }
  }

  it('returns 64-bit integers as numbers', async () => {
    const { db, pool } = await openOn(await server.database())
    const { rows } = await sql`select 8589934592::bigint as big, count(*) as n, 'x' as text`.execute(db)
    assert.deepEqual(rows, [{ big: 2 ** 33, n: 1, text: 'x' }])
    await pool.close()
  })

  it('replaces dropped connections, idle or in a transaction', async () => {
    const url = await server.database()
    const { db, pool } = await openOn(url)
    const ask = () => sql`select 1`.execute(db)
    await Promise.all([ask(), ask()])
    await server.disconnect(url)
    await retrying(ask)
    const inside = db.transaction().execute(async (transaction) => {
      await sql`select 1`.execute(transaction)
      await server.disconnect(url)
      await sleep(50) // the event arrives while no statement is running
      await sql`select 1`.execute(transaction)
    })
    await assert.rejects(inside, isDisconnected)
    await retrying(ask)
    await pool.close()
  })

  it('fails while the server is stopped, and works again afterwards', async () => {
    const { db, pool } = await openOn(await server.database())
    const ask = () => sql`select 1`.execute(db)
    await ask()
    await server.stop('SIGKILL')
    await assert.rejects(retrying(ask), (error) => isPassing(error) && isDisconnected(error))
    await server.start()
    await retrying(ask)
    await pool.close()
  })

  it('does not reuse a connection whose statement did not end', async () => {
    const { db, pool } = await openOn(await server.database(), 2_000)
    const endless = () => assert.rejects(sql`select pg_sleep(600)`.execute(db), isDisconnected)
    await Promise.all([endless(), endless()])
    await sql`select 1`.execute(db)
    await pool.close()
  })

  it('opens new connections when the old ones are lost silently', async () => {
    const network = await openNetwork(await server.database())
    const { db, pool } = await openOn(network.url, 2_000)
    const ask = () => sql`select 1`.execute(db)
    await Promise.all([ask(), ask()])
    assert.equal(network.count, 2)
    network.loseConnections()
    await assert.rejects(ask(), isDisconnected)
    await ask() // the second one is lost, too
    await pool.close()
    await network.close()
  })

  it('retries conflicting transactions', async () => {
    const { db, pool } = await openOn(await server.database())
    await sql`create table t (key text primary key, n bigint)`.execute(db)
    await sql`insert into t values ('a', 0), ('b', 0)`.execute(db)
    let conflicts = 0
    let starts = 0
    const bothBegun = Promise.withResolvers<void>()
    const addTo = async (first: string, second: string) => {
      await retrying(() =>
        db
          .transaction()
          .execute(async (transaction) => {
            for (const key of [first, second]) {
              await sql`update t set n = n + 1 where key = ${key}`.execute(transaction)
              starts += 1
              if (starts === 2) bothBegun.resolve()
              await bothBegun.promise
            }
          })
          .catch((error: unknown) => {
            if (isConflict(error)) conflicts += 1
            throw error
          }),
      )
    }
    await Promise.all([addTo('a', 'b'), addTo('b', 'a')])
    const { rows } = await sql`select n from t`.execute(db)
    assert.deepEqual(rows, [{ n: 2 }, { n: 2 }])
    assert.ok(conflicts > 0)
    await pool.close()
  })

  it('notifies its listeners, and reports when they may have missed something', async () => {
    const url = await server.database()
    const warnings: string[] = []
    const listener = await openListener({ url, warn: (line) => warnings.push(line), every: 50 })
    const heard: string[] = []
    let missed = 0
    const ears = { notified: (text: string) => heard.push(text), missed: () => (missed += 1) }
    listener.listen('first', ears)
    await until(() => missed === 1)
    const end = listener.listen('second', ears)
    await until(() => missed === 2)
    await server.run(url, `notify first, '1'; notify second, '2'; notify third, '3'`)
    await until(() => heard.length === 2)
    await server.disconnect(url)
    await until(() => missed === 4)
    assert.equal(warnings.length, 1)
    end()
    await server.run(url, `notify second, '4'; notify first, '5'`)
    await until(() => heard.length === 3)
    assert.deepEqual(heard, ['1', '2', '5'])
    await server.stop()
    await until(() => warnings.length === 2)
    await server.start()
    await until(() => missed === 5)
    await listener.close()
    assert.equal(warnings.length, 2)
  })

  it('stops a listener whose server is unreachable', async () => {
    const listener = await openListener({ url: 'postgresql://127.0.0.1:1/none', warn: () => {} })
    listener.listen('first', { notified: assert.fail, missed: assert.fail })
    await sleep(20)
    await listener.close()
  })
})
