import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Kysely, sql } from 'kysely'
import { failsWith, updatesOf } from '../builds/builds-conformance.ts'
import type { BuildUpdate } from '../builds/builds.ts'
import type { ImageKey } from '../catalog/catalog.ts'
import { hasCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { parseImageReference } from '../image/name.ts'
import type { StorePath } from '../image/store-path.ts'
import { openPool } from '../postgres/pool.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import type { Decisions } from '../sharing/first.ts'
import { openDecisions } from './decisions.ts'
import type { JobKind, Outcome } from './jobs.ts'
import type { JobTable } from './job-table.ts'
import { createLeases, type Leases } from './leases.ts'
import { sweep } from './sweep.ts'
import { openTestFleet, type TestFleetOptions } from './testing.ts'

const hour = 3_600_000
const options = { requestId: 'test' }
const hello = parseImageReference('hello')
const image = (name: string, world = 'w') =>
  ({ kind: 'image', request: parseImageReference(name), world }) as const
const failure: Outcome = { failure: { code: 'BUILD_FAILED', message: 'it is over' } }
const keep = { usual: hour, expected: hour }
const claim = (leases: Leases, systems = ['x86_64-linux']) => leases.claim(['image'], systems)

const numbers = async (table: Pick<JobTable, 'counts'>) => {
  const { running, queued } = await table.counts()
  return [running, queued]
}

describe('leases', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  const open = async (more: Partial<TestFleetOptions> = {}) => {
    const url = await server.database()
    const fleet = await openTestFleet(url, { warn: assert.fail, ...more })
    const [one, two] = ['one', 'two'].map((owner) => createLeases(fleet, owner, hour)) as [Leases, Leases]
    const expire = (column: string): Promise<unknown> =>
      sql`update jobs set ${sql.ref(column)} = now() - interval '1 hour' where ${sql.ref(column)} is not null`.execute(
        fleet.db,
      )
    return { ...fleet, url, one, two, expire }
  }

  it('assign each job to one worker', async () => {
    const { table, one, two, ...fleet } = await open()
    const names = ['a', 'b', 'c']
    for (const name of names) await table.submit(image(name), 'waiting', options)
    assert.deepEqual(await numbers(table), [0, 3])
    const claimed = await Promise.all([one, two, one, two, one, two].map((leases) => claim(leases)))
    const ids = claimed.flatMap((lease) => lease?.id ?? [])
    assert.equal(new Set(ids).size, ids.length)
    for (let more = await claim(one); more; more = await claim(one)) ids.push(more.id)
    assert.equal(new Set(ids).size, names.length)
    assert.deepEqual(await numbers(table), [3, 0])
    await fleet.close()
  })

  it('are assigned in the order of urgency, and refused if the queue is full', async () => {
    const { table, one, expire, ...fleet } = await open()
    const background = await table.submit(image('a'), 'background', options)
    const expected = await table.submit(image('b'), 'waiting', options)
    await expire('waiting_until')
    await table.expect(expected.id, hour)
    const waiting = await table.submit(image('c'), 'waiting', options)
    await failsWith('OVERLOADED', table.submit(image('d'), 'waiting', options))
    const joined = await table.submit(image('c'), 'waiting', options)
    assert.equal(joined.id, waiting.id)
    assert.deepEqual((await table.counts()).queuedBy, { waiting: 1, expected: 1, background: 1 })
    const claimed = [await claim(one), await claim(one), await claim(one), await claim(one)]
    const order = claimed.map((lease) => lease?.id)
    assert.deepEqual(order, [waiting.id, expected.id, background.id, undefined])
    await fleet.close()
  })

  it("are only for jobs of the worker's platforms", async () => {
    const { table, one, ...fleet } = await open()
    const { id } = await table.submit(image('arm64/a'), 'waiting', options)
    assert.equal(await claim(one), undefined)
    assert.equal((await claim(one, ['aarch64-linux']))?.id, id)
    await fleet.close()
  })

  it('are taken from a worker that does not renew them, which can then record nothing', async () => {
    const { table, one, two, expire, ...fleet } = await open()
    const { id } = await table.submit(image('a'), 'waiting', options)
    const first = await claim(one)
    assert.equal(await claim(two), undefined)
    await expire('lease_until')
    const second = await claim(two)
    assert.ok(first && second)
    assert.deepEqual([first.id, second.id, second.attempt], [id, id, 2])
    assert.deepEqual([await one.holds(first), await two.holds(second)], [false, true])
    assert.equal(await one.end(first, failure, keep), false)
    assert.equal((await table.look(new Map([[id, new Set()]]), false)).get(id)?.outcome, undefined)
    // The same worker may get the job again: then it holds the new lease, not the old one.
    await expire('lease_until')
    const third = await claim(one)
    assert.ok(third)
    assert.deepEqual([await one.holds(first), await one.holds(third)], [false, true])
    assert.equal(await one.end(third, failure, keep), true)
    assert.deepEqual((await table.submit(image('a'), 'waiting', options)).outcome, failure)
    await fleet.close()
  })

  it('count the workers that stopped over a job, without those that were only late', async () => {
    const { table, one, two, expire, ...fleet } = await open()
    await table.submit(image('a'), 'waiting', options)
    for (const [turn, leases] of [one, two, one, two].entries()) {
      const lease = await claim(leases)
      assert.equal(lease?.stopped, Math.min(turn, 1))
      await expire('lease_until')
      if (turn > 0) await leases.survived(lease)
    }
    await fleet.close()
  })

  it('are released immediately, without counting as an attempt', async () => {
    const { table, one, two, ...fleet } = await open()
    await table.submit(image('a'), 'waiting', options)
    const lease = await claim(one)
    assert.ok(lease)
    await one.giveBack([lease])
    assert.equal((await claim(two))?.attempt, 1)
    await fleet.close()
  })

  it('end when no client waits, whether queued or running', async () => {
    const fleet = await open()
    const { builds, held, fake } = await fleet
      .worker()
      .then(async (worker) => ({ ...worker, builds: await fleet.front() }))
    const { id } = await builds.submit(hello, options)
    await fake.began
    const other = await fleet.table.submit(image('arm64/a'), 'waiting', options)
    await fleet.expire('waiting_until')
    await builds.cancel(id)
    await failsWith('CANCELLED', builds.result(id))
    await sweep(fleet.db)
    const looked = await fleet.table.look(new Map([[other.id, new Set()]]), false)
    assert.deepEqual(looked.get(other.id)?.outcome, { abandoned: true })
    while (held.size > 0) await fleet.expire('waiting_until')
    await fleet.close()
  })

  it('continue without notifications, and after a restart of the database', async () => {
    const warnings: string[] = []
    const fleet = await open({ deaf: true, warn: (line) => warnings.push(line) })
    const { fake } = await fleet.worker()
    const builds = await fleet.front()
    const { id } = await builds.submit(hello, options)
    await fake.began
    await server.stop('SIGKILL')
    const refused = await builds.submit(parseImageReference('other'), options)
    await failsWith('STORE_UNAVAILABLE', builds.result(refused.id))
    await server.start()
    fake.end()
    await failsWith('BUILD_FAILED', builds.result(id))
    assert.deepEqual(fake.started, ['hello'])
    assert.doesNotMatch(warnings.join('\n'), /NixeryError/)
    await fleet.close()
  })

  it('store no secrets of a worker in the database', async () => {
    const fleet = await open()
    const { fake } = await fleet.worker()
    const builds = await fleet.front()
    const { id } = await builds.submit(parseImageReference('hello'), options)
    await fake.began
    fake.end()
    const updates: BuildUpdate[] = await updatesOf(builds, id)
    assert.ok(!JSON.stringify(updates).includes('a secret'))
    const { rows } = await sql<{ found: number }>`
      select (select count(*) from jobs where outcome like '%a secret%')
        + (select count(*) from build_events where event like '%a secret%') as found`.execute(fleet.db)
    assert.equal(rows[0]?.found, 0)
    await fleet.close()
  })

  it('keep outcomes for front ends that start when no worker is left', async () => {
    const { one, blobs, ...fleet } = await open({ warn: () => {} })
    const part = { digest: digestOf('x'), size: 1 }
    const built = {
      key: 'k' as ImageKey,
      image: { manifests: { docker: part, oci: part }, config: part, layers: [] },
    }
    const endNext = async (kind: JobKind, outcome: Outcome) => {
      let lease = await one.claim([kind], ['x86_64-linux'])
      while (!lease) lease = await one.claim([kind], ['x86_64-linux'])
      await one.end(lease, outcome, { usual: kind === 'pin' ? 0 : hour, expected: hour })
    }
    const builds = await fleet.front()
    const { id } = await builds.submit(hello, options)
    await endNext('pin', { world: 'w', at: 0 })
    await endNext('image', { built })
    assert.deepEqual(await builds.result(id), built.image)
    const other = await fleet.front()
    const again = await other.submit(hello, options)
    assert.deepEqual(await other.result(again.id), built.image)
    // Its blobs must be checked again, and the database is not available.
    blobs.losses += 1
    await server.stop('SIGKILL')
    for (const front of [builds, other]) {
      const { id: without } = await front.submit(hello, options)
      assert.deepEqual(await front.result(without), built.image)
    }
    await server.start()
    await fleet.close()
  })

  it('fail without a worker that could take the job', async () => {
    const fleet = await open()
    const builds = await fleet.front()
    const { id } = await builds.submit(hello, options)
    const failed = await builds.result(id).catch((error: unknown) => error)
    assert.ok(hasCode(failed, 'NIX_UNAVAILABLE'))
    await fleet.close()
  })

  it('have beside them what counts for store paths, decided once and kept for a day', async () => {
    const url = await server.database()
    const pools = await Promise.all([openPool({ url }), openPool({ url })])
    const [one, two] = (await Promise.all(pools.map(openDecisions))) as [Decisions, Decisions]
    const { signal } = new AbortController()
    const path = '/nix/store/x' as StorePath
    const texts = Array.from({ length: 8 }, (_, n) => `by ${n}`)
    const results = await Promise.all(texts.map((text, n) => (n % 2 ? one : two).first(path, text, signal)))
    const [first = ''] = results
    assert.ok(texts.includes(first))
    assert.deepEqual(new Set(results), new Set([first]))
    assert.equal(await one.replace(path, 'another', 'new', signal), first)
    assert.equal(await one.replace(path, first, 'new', signal), 'new')
    assert.equal(await two.replace(path, first, 'newer', signal), 'new')
    const db = new Kysely<unknown>({ dialect: pools[0].dialect })
    await sweep(db)
    assert.equal(await two.first(path, 'later', signal), 'new')
    await sql`update shared_paths set decided_at = now() - interval '25 hours'`.execute(db)
    await sweep(db)
    assert.equal(await two.first(path, 'later', signal), 'later')
    for (const pool of pools) await pool.close()
  })
})
