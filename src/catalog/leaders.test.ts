import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely } from 'kysely'
import { openPool } from '../postgres/pool.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { takeLead } from './leaders.ts'
import { postgresDatabase } from './postgres.ts'
import type { Tables } from './schema.ts'

describe('the lead for a task of one process', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  let url: string
  const pools: { close(): Promise<void> }[] = []
  before(async () => {
    server = await startPostgres()
    url = await server.database()
    const postgres = await openPool({ url })
    await postgresDatabase({ postgres, directUrl: url }).open()
    await postgres.close()
  })
  after(async () => {
    for (const pool of pools) await pool.close()
    await server.dispose()
  })
  const process = async () => {
    const pool = await openPool({ url, most: 2 })
    pools.push(pool)
    return new Kysely<Tables>({ dialect: pool.dialect })
  }

  it('belongs to one process at a time, and to the next one after it was released', async () => {
    const [one, two] = [await process(), await process()]
    const lead = await takeLead(one, 'a', { owner: 'one', term: 600 })
    assert.ok(lead)
    assert.equal(await takeLead(two, 'a', { owner: 'two' }), undefined)
    assert.ok(await takeLead(two, 'b', { owner: 'two' }))
    await lead.release()
    assert.ok(await takeLead(two, 'a', { owner: 'two' }))
    assert.equal(lead.lost.aborted, false)
  })

  it('is lost in time if the database responds late', async () => {
    const db = await process()
    const late = db.withPlugin({
      transformQuery: ({ node }) => node,
      async transformResult({ result }) {
        await sleep(1_000) // longer than the term
        return result
      },
    })
    const lead = await takeLead(late, 'd', { owner: 'one', term: 1 })
    assert.ok(lead)
    // Timers run in the order of their times.
    await Promise.race([once(lead.lost, 'abort'), sleep(300)])
    assert.equal(lead.lost.aborted, true)
  })

  it('passes to another process if its holder does not renew it, and the holder notices', async () => {
    const [one, two] = [await process(), await process()]
    const lead = await takeLead(one, 'c', { owner: 'one', term: 1 })
    assert.ok(lead)
    const lost = once(lead.lost, 'abort')
    const held = async () =>
      Number((await server.run(url, `select held_until from leaders where name = 'c'`))[0]?.['held_until'])
    const first = await held()
    while ((await held()) <= first) await sleep(20) // until it is renewed
    assert.equal(lead.lost.aborted, false)
    await server.run(url, `update leaders set held_until = 0, owner = 'somebody' where name = 'c'`)
    await lost
    const next = await takeLead(two, 'c', { owner: 'two', term: 1 })
    assert.ok(next)
    const cutOff = once(next.lost, 'abort')
    await server.stop('SIGKILL')
    await cutOff
    await server.start()
    await next.release()
  })
})
