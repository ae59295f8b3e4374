import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely, sql } from 'kysely'
import { parseImage } from '../builds/image.ts'
import type { ImageKey } from '../catalog/catalog.ts'
import { hasCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { parseImageReference } from '../image/name.ts'
import { FeaturesMissing } from '../nix/missing-features.ts'
import { openNetwork } from '../../test/support/network.ts'
import { openListener } from '../postgres/listener.ts'
import { openPool } from '../postgres/pool.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { openEventLog } from './event-log.ts'
import { appendEvents } from './event-rows.ts'
import { createLeases } from './leases.ts'
import { until } from '../../test/support/until.ts'
import { openTestFleet } from './testing.ts'
import { createWorkers } from './workers.ts'

const request = parseImageReference('hello')
const systems = ['x86_64-linux']
const keep = { usual: 60_000, expected: 60_000 }
const options = { requestId: 'test' }

describe('a fleet in trouble', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  it('keeps a lease when all connections to the database die silently', async () => {
    const url = await server.database()
    const network = await openNetwork(url)
    const direct = await openTestFleet(url, { warn: assert.fail })
    const cut = await openTestFleet(network.url, { warn: () => {}, lease: 15_000 })
    const { fake, held } = await cut.worker()
    const builds = await direct.front()
    const { id } = await builds.submit(request, options)
    await fake.began
    const [job] = held.keys()
    const renewedAt = async () => {
      const { rows } = await sql<{ at: number }>`
        select extract(epoch from lease_until)::float8 as at from jobs where id = ${job}`.execute(direct.db)
      return rows[0]?.at ?? 0
    }
    const thief = createLeases(direct, 'thief', 15_000)
    network.loseConnections()
    const first = await renewedAt()
    while ((await renewedAt()) === first) {
      assert.equal(await thief.claim(['image'], systems), undefined)
      await sleep(50)
    }
    assert.deepEqual([...held.keys()], [job])
    await builds.cancel(id)
    await network.close()
    await cut.close()
    await direct.close()
  })

  it('is not held up by a process that is cut off in the middle of a transaction', async () => {
    const url = await server.database()
    const fleet = await openTestFleet(url, { warn: assert.fail })
    const network = await openNetwork(url)
    const pool = await openPool({ url: network.url, idleInTransaction: 300, queryTimeout: 1_000 })
    const cut = new Kysely<unknown>({ dialect: pool.dialect })
    const writing = cut.transaction().execute(async (transaction) => {
      await appendEvents(transaction, [['one', { type: 'started', image: 'a' }]])
      network.loseConnections()
      await sql`select 1`.execute(transaction)
    })
    await assert.rejects(writing)
    // Events are appended one transaction at a time.
    await createLeases(fleet, 'other', 3_000).append([['two', { type: 'started', image: 'b' }]])
    const { rows } = await sql`select build from build_events`.execute(fleet.db)
    assert.deepEqual(rows, [{ build: 'two' }])
    await pool.close()
    await network.close()
    await fleet.close()
  })

  it('records an image at the end of its build if the catalog could not', async () => {
    const { db, renewals, table, ...fleet } = await openTestFleet(await server.database(), {
      warn: assert.fail,
    })
    const leases = createLeases({ db, renewals }, 'one', 60_000)
    const part = { digest: digestOf('x'), size: 1 }
    const image = { manifests: { docker: part, oci: part }, config: part, layers: [] }
    await table.submit({ kind: 'image', request, world: 'w' }, 'waiting', options)
    const lease = await leases.claim(['image'], systems)
    assert.ok(lease)
    assert.equal(await leases.end(lease, { built: { key: 'k' as ImageKey, image } }, keep), true)
    const { rows } = await sql<{ image: string; age: number }>`
      select image, extract(epoch from now())::float8 - made_at as age from images where key = 'k'`.execute(
      db,
    )
    assert.deepEqual(parseImage(rows[0]?.image ?? ''), image)
    assert.ok(Math.abs(rows[0]?.age ?? Infinity) < 60)
    await fleet.close()
  })

  it('shows new builds after the database was restored from a backup', async () => {
    const url = await server.database()
    const fleet = await openTestFleet(url, { warn: () => {} })
    const leases = createLeases(fleet, 'one', 60_000)
    const listener = await openListener({ url, warn: () => {} })
    const log = openEventLog(fleet.db, listener)
    const seen = new Set<string>()
    log.follow((build) => seen.add(build))
    const append = (build: string) => leases.append([[build, { type: 'started', image: 'a' }]])
    await append('before')
    await sql`select setval('build_events_seq_seq', 1000000)`.execute(fleet.db)
    await append('lost')
    await until(() => seen.has('lost'), 'events were read')
    await sql`delete from build_events where build = 'lost'`.execute(fleet.db)
    await sql`select setval('build_events_seq_seq', 1)`.execute(fleet.db)
    await server.disconnect(url)
    const isSeen = async () => {
      await append('after')
      return seen.has('after')
    }
    await until(isSeen, 'events with lower numbers were read')
    await log.close()
    await listener.close()
    await fleet.close()
  })

  it("uses the database's time for outcomes, not the worker's", async () => {
    const { db, renewals, table, ...fleet } = await openTestFleet(await server.database(), {
      warn: assert.fail,
    })
    const leases = createLeases({ db, renewals }, 'one', 60_000)
    await table.submit({ kind: 'pin', request }, 'waiting', options)
    const lease = await leases.claim(['pin'], systems)
    assert.ok(lease)
    const hourAhead = Date.now() / 1000 + 3600
    await leases.end(lease, { world: 'w', at: Math.floor(hourAhead) }, keep)
    const { outcome } = await table.submit({ kind: 'pin', request }, 'waiting', options)
    assert.ok(outcome && 'world' in outcome)
    assert.equal(outcome.world, 'w')
    assert.ok(outcome.at < hourAhead - 3000)
    await fleet.close()
  })

  it('leaves a build to a worker with the system features that it needs, or says that there is none', async () => {
    const { db, renewals, ...fleet } = await openTestFleet(await server.database(), { warn: assert.fail })
    const refusal = new FeaturesMissing({ derivation: 'vm-test', features: ['kvm'] })
    const { held } = await fleet.worker(systems, refusal)
    const builds = await fleet.front()
    const first = await builds.submit(request, options)
    await assert.rejects(builds.result(first.id), (error) => {
      assert.ok(hasCode(error, 'BUILD_FAILED'))
      assert.equal(error.message, 'vm-test needs the system feature kvm, which no worker has')
      return true
    })

    const abilities = [...systems, 'kvm']
    const able = createLeases({ db, renewals }, 'able', 60_000)
    const facts = { host: 'able', version: '0', nixVersion: '2.8', packages: [] }
    await createWorkers(renewals, 60_000).beHere('able', abilities, facts)
    const { id } = await builds.submit(parseImageReference('other'), options)
    const needs = async () => {
      const { rows } = await sql<{ needs: string }>`select needs from jobs where state = 'queued'`.execute(db)
      return rows[0]?.needs
    }
    await until(async () => (await needs()) === 'x86_64-linux kvm', 'the build is left to others')
    await until(() => held.size === 0)
    assert.equal(await able.claim(['image'], systems), undefined)
    const lease = await able.claim(['image'], abilities)
    assert.equal(lease?.attempt, 1)
    const expected = 'vm-test needs the system feature kvm: a worker that has it continues'
    for await (const event of builds.events(id)) {
      if (event.type === 'warning' && event.message === expected) break
      assert.notEqual(event.type, 'failed')
    }
    await builds.cancel(id)
    await fleet.close()
  })

  it('does not take a build for lost while it is left to another worker', async () => {
    const warnings: string[] = []
    const warn = (line: string) => warnings.push(line)
    const { db, renewals, ...fleet } = await openTestFleet(await server.database(), { warn })
    // Leases are renewed every second, and this takes three.
    await sql`
      create function slowly() returns trigger language plpgsql as
        $$ begin perform pg_sleep(3); return new; end $$`.execute(db)
    await sql`
      create trigger slowly before insert on build_events for each row
        when (new.event like '%a worker that has it continues%') execute function slowly()`.execute(db)
    const facts = { host: 'able', version: '0', nixVersion: '2.8', packages: [] }
    await createWorkers(renewals, 60_000).beHere('able', [...systems, 'kvm'], facts)
    const refusal = new FeaturesMissing({ derivation: 'vm-test', features: ['kvm'] })
    await fleet.worker(systems, refusal)
    const builds = await fleet.front()
    const { id } = await builds.submit(request, options)
    for await (const event of builds.events(id)) {
      if (event.type === 'warning' && /that has it continues/.test(event.message)) break
    }
    await builds.cancel(id)
    await fleet.close()
    assert.deepEqual(warnings, [])
  })
})
