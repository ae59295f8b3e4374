import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kysely } from 'kysely'
import { openPool, type Postgres } from '../postgres/pool.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { differenceOf, differingFacts, type FactsByPart, type Replica } from './agreement.ts'
import { joinFleet } from './membership.ts'
import { openRegister, readOverview } from './overview.ts'
import { createReplicas } from './replicas.ts'

const replica = (id: string, age: number, facts: FactsByPart, draining = false): Replica => ({
  id,
  host: `host of ${id}`,
  role: 'worker',
  version: '1',
  age,
  seen: 0,
  draining,
  facts,
})

describe('differenceOf', () => {
  const old = replica('old', 100, { builds: { A: '1', B: '1' } })
  const fresh = replica('new', 5, { builds: { A: '2', B: '1', C: '1' } })
  const front = replica('front', 900, { serves: { A: '9' } })

  it('compares with the oldest process of the same part, in the facts that both know', () => {
    assert.deepEqual(differenceOf(fresh, [fresh, front, old], 'builds'), { names: ['A'], from: old })
    assert.equal(differenceOf(old, [fresh, front, old], 'builds'), undefined)
    assert.equal(differenceOf(front, [fresh, front, old], 'builds'), undefined)
    assert.equal(differenceOf(fresh, [fresh, front], 'builds'), undefined)
  })

  it('lists the facts that differ from those of any other process', () => {
    assert.deepEqual(differingFacts(old, [fresh, front, old], 'builds'), ['A'])
    assert.deepEqual(differingFacts(fresh, [fresh, front], 'builds'), [])
    assert.deepEqual(differingFacts(front, [fresh, front], 'builds'), [])
  })

  it('ignores processes that take no work', () => {
    assert.equal(differenceOf(fresh, [fresh, { ...old, draining: true }], 'builds'), undefined)
  })

  it('decides between two of the same age', () => {
    const twin = { ...fresh, id: 'twin', facts: { builds: { A: '3' } } }
    const all = [twin, fresh]
    assert.deepEqual(
      all.map((one) => differenceOf(one, all, 'builds') !== undefined),
      [true, false],
    )
  })
})

describe('the registry of processes', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  let postgres: Postgres
  before(async () => {
    server = await startPostgres()
    postgres = await openPool({ url: await server.database() })
  })
  after(async () => {
    await postgres.close()
    await server.dispose()
  })

  it('prevents a differing worker from taking builds, until the others are gone or drained', async () => {
    const register = await openRegister(postgres)
    const replicas = createReplicas(new Kysely<unknown>({ dialect: postgres.dialect }), 60_000)
    const lines: string[] = []
    const differences: string[] = []
    const reported = new Set<string>()
    const facts = { strategy: 'stable' }
    const join = (id: string, own: Record<string, string>) =>
      joinFleet({
        replicas,
        self: { id, host: `host-${id}`, role: 'worker', version: '1' },
        facts: () => Promise.resolve({ builds: own }),
        onDifference(names) {
          differences.push(...names)
          reported.add(id)
        },
        note: (line) => lines.push(`${id}: ${line}`),
        warn: (line) => lines.push(`${id}: ${line}`),
        every: 10,
      })
    const first = join('one', facts)
    assert.equal(first.mayBuild(), false) // before its first check
    await first.first
    assert.equal(first.mayBuild(), true)
    const second = join('two', { strategy: 'nixery' })
    const third = join('three', facts)
    await Promise.all([second.first, third.first])
    assert.deepEqual(
      [first, second, third].map((one) => one.mayBuild()),
      [true, false, true],
    )
    const { processes } = await readOverview(postgres)
    assert.deepEqual(processes.find(({ id }) => id === 'two')?.differs, ['strategy'])
    assert.ok(differences.includes('strategy'))
    while (reported.size < 3) await sleep(10) // the oldest, too

    await register.drain(['one', 'three'], true)
    while (!second.mayBuild() || first.mayBuild() || third.mayBuild()) await sleep(10)
    await register.drain(['one', 'three'], false)
    while (second.mayBuild() || !first.mayBuild()) await sleep(10)
    await first.close()
    await third.close()
    while (!second.mayBuild()) await sleep(10)
    assert.deepEqual(
      (await register.list()).map(({ id }) => id),
      ['two'],
    )
    await second.close()
    assert.equal(
      lines[0],
      'two: this worker takes no builds, because it differs from host-one (worker) in strategy',
    )
    assert.ok(lines.includes('one: draining: it takes no more work'))
  })
})
