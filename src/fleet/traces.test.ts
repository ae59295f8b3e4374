import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import { parseImageReference } from '../image/name.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { until } from '../../test/support/until.ts'
import { keyOfJob, parseJob } from './jobs.ts'
import { createLeases } from './leases.ts'
import { openTestFleet } from './testing.ts'

const traceparent = (last: string) => `00-0af7651916cd43dd8448eb211c80319c-b7ad6b716920333${last}-01`
const request = parseImageReference('a')
const job = { kind: 'image', request, world: 'w' } as const

describe('the span that caused a job', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  it('is passed on to the worker, and requests with other spans join the job and are linked to it', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const handled = new Map([
      ['one', traceparent('1')],
      ['two', traceparent('2')],
    ])
    const links: string[][] = []
    const front = await fleet.front({
      traceparentOf: (requestId) => handled.get(requestId),
      link: (...link) => links.push(link),
    })
    const submit = async (requestId: string) => {
      const { id } = await front.submit(request, { requestId })
      front.result(id).catch(() => {})
    }
    await submit('one')
    handled.delete('one') // its client gets a retry response, which ends the span
    const { fake } = await fleet.worker()
    await fake.began
    await submit('two')
    const joins = async () => {
      const { rows } = await sql`select from build_events where kind = 'joined'`.execute(fleet.db)
      return rows.length
    }
    await until(async () => (await joins()) === 2, 'the second request has joined')
    assert.deepEqual(fake.traceparents, [traceparent('1')])
    await until(() => links.length > 0, 'it is linked')
    assert.deepEqual(links, [['two', traceparent('1')]])
    await fleet.close()
  })

  it('is not part of its key', () => {
    assert.equal(keyOfJob({ ...job, traceparent: traceparent('1') }), keyOfJob(job))
  })

  it('may be missing or damaged, and jobs may have fields of later versions', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const leases = createLeases(fleet, 'one', 3_600_000)
    const claimed = async (written: object) => {
      const { id } = await fleet.table.submit(job, 'waiting', { requestId: 'test' })
      await sql`update jobs set job = ${JSON.stringify(written)} where id = ${id}`.execute(fleet.db)
      const lease = await leases.claim(['image'], ['x86_64-linux'])
      assert.equal(lease?.id, id)
      await leases.end(lease, { abandoned: true }, { usual: 0, expected: 0 })
      return lease.job
    }
    const [plain, traced] = [parseJob(JSON.stringify(job)), { ...job, traceparent: traceparent('1') }]
    assert.ok(plain)
    assert.equal('traceparent' in plain, false)
    assert.deepEqual(await claimed(job), plain)
    assert.deepEqual(await claimed({ ...traced, later: 1 }), { ...plain, traceparent: traceparent('1') })
    for (const damaged of [7, null, 'x'.repeat(10_000), {}]) {
      const { traceparent: read, ...rest } = (await claimed({
        ...job,
        traceparent: damaged,
      })) as typeof traced
      assert.deepEqual([rest, read], [plain, undefined])
    }
    await fleet.close()
  })
})
