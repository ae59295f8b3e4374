import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sql } from 'kysely'
import { updatesOf } from '../builds/builds-conformance.ts'
import { readConfig } from '../config.ts'
import { hasCode } from '../errors.ts'
import { parseImageReference } from '../image/name.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { createLeases } from './leases.ts'
import { until } from '../../test/support/until.ts'
import { openTestFleet } from './testing.ts'
import { periods } from './times.ts'
import { createFence, type HeldLeases } from './held-leases.ts'

const hour = 3_600_000
const options = { requestId: 'test' }
const systems = ['x86_64-linux']
const request = parseImageReference('a')
const image = (name: string) => ({ kind: 'image', request: parseImageReference(name), world: 'w' }) as const

describe('builds of several workers', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  it('are not waited for while another worker takes them', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const leases = createLeases(fleet, 'one', hour)
    const first = await fleet.table.submit(image('a'), 'waiting', options)
    const second = await fleet.table.submit(image('b'), 'waiting', options)
    await fleet.db.transaction().execute(async (other) => {
      await sql`select from jobs where id = ${first.id} for update`.execute(other)
      assert.equal((await leases.claim(['image'], systems))?.id, second.id)
      assert.equal(await leases.claim(['image'], systems), undefined)
    })
    await fleet.close()
  })

  it('fail for their clients if the last worker has disappeared', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const leases = createLeases(fleet, 'one', hour)
    const front = await fleet.front()
    const { id } = await front.submit(request, options)
    const result = front.result(id)
    result.catch(() => {})
    await until(async () => (await leases.claim(['pin'], systems)) !== undefined, 'it is taken')
    await sql`update jobs set lease_until = now() - interval '1 hour' where state = 'running'`.execute(
      fleet.db,
    )
    await assert.rejects(result, (error) => hasCode(error, 'NIX_UNAVAILABLE'))
    await fleet.close()
  })

  it('are given back by a worker that stops, before it has stopped', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail, lease: hour })
    const front = await fleet.front()
    const { fake, held, loop } = await fleet.worker()
    const { id: waiting } = await front.submit(request, options)
    front.result(waiting).catch(() => {})
    await fake.began
    const [id = ''] = held.keys()
    await loop.close()
    // Clients give up when it has waited too long without a worker, but from now on only.
    const { rows } =
      await sql`select from jobs where id = ${id} and lease_until between asked_at and now()`.execute(
        fleet.db,
      )
    assert.equal(rows.length, 1)
    const other = await createLeases(fleet, 'other', hour).claim(['image'], systems)
    assert.deepEqual([other?.id, other?.attempt], [id, 1])
    await fleet.close()
  })

  it('are not taken by a worker that may take none', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    let queries = 0
    const mayTake = () => {
      queries += 1
      return false
    }
    const differing = await fleet.worker(systems, undefined, mayTake)
    const front = await fleet.front()
    const { id } = await front.submit(request, options)
    front.result(id).catch(() => {})
    const queriesBefore = queries
    await until(() => queries > queriesBefore + 1, 'it has looked for jobs')
    assert.equal(differing.held.size, 0)
    await (
      await fleet.worker()
    ).fake.began
    await fleet.close()
  })

  it('are continued by a worker that was too late to renew them, if no other has taken them', async () => {
    const warnings: string[] = []
    const warn = (line: string) => void warnings.push(line)
    const fleet = await openTestFleet(await server.database(), { warn, lease: hour })
    const front = await fleet.front()
    const { fake, held, leases } = await fleet.worker()
    const { id } = await front.submit(request, options)
    const built = front.result(id)
    built.catch(() => {})
    await fake.began
    const [job] = held.keys()
    const row = async () => {
      const { rows } = await sql<{ attempts: number; survived: number }>`
        select attempts, survived from jobs where id = ${job}`.execute(fleet.db)
      return rows[0]
    }
    // More often than workers may stop over it.
    for (let times = 1; times <= 4; times += 1) {
      await sql`update jobs set lease_until = now() - interval '1 second' where id = ${job}`.execute(fleet.db)
      await sql`select pg_notify('nixery_jobs', '')`.execute(fleet.db)
      await until(async () => (await row())?.survived === times, 'it has the job again')
    }
    assert.deepEqual(await row(), { attempts: 5, survived: 4 })
    await createFence(held, leases, assert.fail)(job ?? '')
    fake.end()
    await assert.rejects(built, /it is over/)
    assert.deepEqual(fake.started, ['a'])
    const types = (await updatesOf(front, id)).map(({ type }) => type)
    assert.equal(types.filter((type) => type === 'nix').length, 1)
    assert.ok(
      warnings.every((line) => line.includes('renewed too late')),
      warnings.join(),
    )
    await fleet.close()
  })

  it('stay wanted as long as a client waits', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const front = await fleet.front()
    const { fake, held } = await fleet.worker()
    const { id } = await front.submit(request, options)
    front.result(id).catch(() => {})
    await fake.began
    const [job] = held.keys()
    const wantedUntil = async () => {
      const { rows } = await sql<{ at: number }>`
        select extract(epoch from waiting_until)::float8 as at from jobs where id = ${job}`.execute(fleet.db)
      return rows[0]?.at ?? 0
    }
    const first = await wantedUntil()
    await until(async () => (await wantedUntil()) > first + 1, 'it is renewed')
    await fleet.close()
  })

  it('are recorded only by the worker that has the lease', async () => {
    const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
    const one = createLeases(fleet, 'one', hour)
    const { id } = await fleet.table.submit(image('a'), 'waiting', options)
    const lease = await one.claim(['image'], systems)
    assert.ok(lease)
    const stop = new AbortController()
    const mine = {
      lease,
      stop,
      signals: { signal: stop.signal },
      unwanted: 0,
      renewedAt: performance.now(),
      isEnding: false,
    }
    const held: HeldLeases = new Map([[id, mine]])
    const warnings: string[] = []
    const fence = createFence(held, one, (line) => warnings.push(line))
    await fence(id)
    await assert.rejects(fence('another build'), (error) => hasCode(error, 'CANCELLED'))

    await sql`update jobs set lease_until = now() - interval '1 second'`.execute(fleet.db)
    assert.ok(await createLeases(fleet, 'two', hour).claim(['image'], systems))
    assert.deepEqual([warnings.length, stop.signal.aborted], [0, false])
    await assert.rejects(fence(id), (error) => hasCode(error, 'CANCELLED'))
    assert.deepEqual([held.size, stop.signal.aborted], [0, true])
    assert.match(warnings[0] ?? '', /^the lease of job .* is lost/)
    await fleet.close()
  })

  it('of a dead worker are taken over within 15 seconds by default', () => {
    const { NIXERY_LEASE: lease } = readConfig({ HOME: '/root' })
    assert.ok(lease * 1000 + periods.poll <= 15_000)
  })
})
