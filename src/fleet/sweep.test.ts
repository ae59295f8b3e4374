import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { until } from '../../test/support/until.ts'
import { sweep } from './sweep.ts'
import { openTestFleet } from './testing.ts'

describe('sweep', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  it('removes all that has expired, however much there is, and nothing else', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const { db } = fleet
    const add = (count: number, age: string) =>
      sql`
      insert into jobs (id, key, kind, needs, job, state, asked_at, ended_at, keep_until)
      select ${age} || n, ${age} || n, 'image', '', '{}', 'ended', now(), now(), now() - ${age}::interval
      from generate_series(1, ${count}::int) as n`.execute(db)
    const addEvents = (count: number, age: string) =>
      sql`
      insert into build_events (build, at, kind, event)
      select ${age}, now() - ${age}::interval, 'started', '{}' from generate_series(1, ${count}::int)`.execute(
        db,
      )
    await add(12_000, '1 hour')
    await add(3, '-1 hour')
    await addEvents(12_000, '25 hours')
    await addEvents(3, '23 hours')
    await sweep(db)
    const numbers = async () => {
      const { rows } = await sql<{ jobs: number; events: number }>`
        select (select count(*) from jobs) as jobs, (select count(*) from build_events) as events`.execute(db)
      return rows[0]
    }
    assert.deepEqual(await numbers(), { jobs: 3, events: 3 })

    // As after a million other events.
    await sql`select setval('build_events_seq_seq', nextval('build_events_seq_seq') + 1000000)`.execute(db)
    await addEvents(2, '1 second')
    await sweep(db)
    assert.deepEqual(await numbers(), { jobs: 3, events: 2 })
    await fleet.close()
  })

  it('removes processes that were killed long ago', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const add = (id: string, age: string) =>
      sql`
      insert into replicas (id, host, role, version, facts, seen_at)
      values (${id}, 'h', 'front', '0', '{}', now() - ${age}::interval)`.execute(fleet.db)
    await add('old', '25 hours')
    await add('new', '1 hour')
    await sweep(fleet.db)
    const { rows } = await sql`select id from replicas`.execute(fleet.db)
    assert.deepEqual(rows, [{ id: 'new' }])
    await fleet.close()
  })

  it('does not read all images of the last day to find old answers', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const add = (kind: string, count: number) =>
      sql`
      insert into jobs (id, key, kind, needs, job, state, ended_at, keep_until, is_answer)
      select ${kind} || n, ${kind} || n, ${kind}, '', '{}', 'ended', now(), now() + interval '1 hour', true
      from generate_series(1, ${count}::int) as n`.execute(fleet.db)
    await add('image', 20_000)
    await add('pin', 10)
    await sql`analyze jobs`.execute(fleet.db)
    await sweep(fleet.db)
    const scans = async () => {
      const { rows } = await sql<{ n: number }>`
        select idx_scan as n from pg_stat_user_indexes where indexrelname = 'jobs_answers'`.execute(fleet.db)
      return rows[0]?.n ?? 0
    }
    await until(async () => (await scans()) > 0, 'the index was used')
    await fleet.close()
  })
})
