import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import { updatesOf } from '../builds/builds-conformance.ts'
import type { BuildEvent } from '../builds/events.ts'
import { hasCode } from '../errors.ts'
import { parseImageReference } from '../image/name.ts'
import { openListener } from '../postgres/listener.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { until } from '../../test/support/until.ts'
import { openEventLog } from './event-log.ts'
import { createLeases } from './leases.ts'
import { openTestFleet } from './testing.ts'
import { createWorkers } from './workers.ts'

const hour = 3_600_000
const hello = parseImageReference('hello')
const options = { requestId: 'test' }
const systems = ['x86_64-linux']

// Rows of a later version, or damaged ones.
describe('rows of a fleet that cannot be read', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  it('end as failed jobs, and hold up no others', async () => {
    const warnings: string[] = []
    const fleet = await openTestFleet(await server.database(), { warn: (line) => warnings.push(line) })
    const front = await fleet.front()
    const { id } = await front.submit(hello, options)
    const waiting = front.result(id)
    waiting.catch(() => {})
    const count = async () => (await sql`select from jobs where kind = 'pin'`.execute(fleet.db)).rows.length
    await until(async () => (await count()) === 1, 'the job is there')
    await sql`update jobs set job = '{"kind":"pin"}'`.execute(fleet.db)
    const next = await fleet.table.submit({ kind: 'revision', set: undefined }, 'waiting', options)
    await fleet.worker()
    await assert.rejects(
      waiting,
      (error) => hasCode(error, 'BUILD_FAILED') && /cannot be read/.test(error.message),
    )
    const outcome = async () =>
      (await fleet.table.look(new Map([[next.id, new Set()]]), false)).get(next.id)?.outcome
    await until(async () => (await outcome()) !== undefined, 'the next job is done')
    assert.deepEqual(await outcome(), { revision: 'r' })
    await fleet.close()
    assert.deepEqual(warnings, [])
  })

  it('of kinds that this version does not know are left to other workers', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    await fleet.table.submit({ kind: 'revision', set: undefined }, 'waiting', options)
    await sql`update jobs set kind = 'later', job = '{"kind":"later"}'`.execute(fleet.db)
    const kinds = ['image', 'pin', 'revision'] as const
    assert.equal(await createLeases(fleet, 'one', hour).claim(kinds, systems), undefined)
    const { rows } = await sql`select state from jobs`.execute(fleet.db)
    assert.deepEqual(rows, [{ state: 'queued' }])
    await fleet.close()
  })

  it('are no answers: what they were for is done again', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const leases = createLeases(fleet, 'one', hour)
    const job = { kind: 'image', request: hello, world: 'w' } as const
    const { id } = await fleet.table.submit(job, 'waiting', options)
    const lease = await leases.claim(['image'], systems)
    assert.ok(lease)
    await leases.end(lease, { moved: 'x' }, { usual: hour, expected: hour })
    assert.ok(await fleet.table.kept(job, undefined))
    await sql`update jobs set outcome = '{"later":1}'`.execute(fleet.db)
    assert.equal(await fleet.table.kept(job, undefined), undefined)
    const again = await fleet.table.submit(job, 'waiting', options)
    assert.notEqual(again.id, id)
    assert.equal(again.outcome, undefined)
    await fleet.close()
  })

  it('are left out of the events of builds', async () => {
    const url = await server.database()
    const fleet = await openTestFleet(url, { warn: assert.fail })
    const listener = await openListener({ url, warn: assert.fail })
    const log = openEventLog(fleet.db, listener)
    const leases = createLeases(fleet, 'one', hour)
    const line = (text: string) => ({ type: 'nix', line: text }) as const
    await leases.append([
      ['x', { type: 'started', image: 'a' }],
      ['x', line('damaged')],
      ['x', line('good')],
    ])
    await sql`update build_events set event = '{' where event like '%damaged%'`.execute(fleet.db)
    const followed: BuildEvent['type'][] = []
    log.follow((_, { type }) => followed.push(type))
    const failed = { type: 'failed', failure: { code: 'CANCELLED', message: 'x' }, ms: 1 } as const
    await leases.append([['x', failed]])
    const types = (await updatesOf({ events: (build) => log.read(build) }, 'x')).map(({ type }) => type)
    assert.deepEqual(types, ['started', 'nix', 'failed'])
    await until(() => followed.length === 3, 'the follower gets all events')
    await log.close()
    await listener.close()
    await fleet.close()
  })

  it('are no workers', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const workers = createWorkers(fleet.db, hour)
    const facts = { host: 'a', version: '0', nixVersion: '2.8', packages: [] }
    await workers.beHere('one', systems, facts)
    await workers.beHere('two', systems, facts)
    await sql`update workers set facts = '{' where id = 'one'`.execute(fleet.db)
    assert.deepEqual(await workers.list(), [facts])
    await fleet.close()
  })
})
