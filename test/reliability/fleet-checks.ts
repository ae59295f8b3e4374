import assert from 'node:assert/strict'
import { leaseOfFleet } from '../support/fleet.ts'
import { until } from '../support/until.ts'
import { pullWhole, type Addresses, type FleetLedger } from './fleet-clients.ts'
import { openWorker } from './fleet-expected.ts'
import type { FleetWorld, Life, Member, Trouble } from './fleet-world.ts'

// Seconds by which a job may outlast its lease: workers look every two, and a busy machine takes its time.
const late = 15

/** When a fault is over, every job ends or is taken over within a lease, and all workers are there again. */
export async function untilSettled({ fleet, members }: FleetWorld): Promise<void> {
  const { postgres, url } = fleet
  const count = async (sql: string) =>
    Number((await postgres.run(url, `select count(*)::int as n ${sql}`))[0]?.['n'])
  const workers = members.filter(({ role }) => role === 'worker').length
  await until(
    async () => (await count('from workers where seen_until > now()')) >= workers,
    'all workers are there again',
    late + 15,
  )
  const overdue = `from jobs where state = 'running' and lease_until < now() - interval '2 s'
    and greatest(waiting_until, expected_until, background_until) > now()`
  await until(async () => (await count(overdue)) === 0, 'no job is left by its worker', late)
}

export type CheckOptions = {
  readonly addresses: Addresses
  /** Milliseconds within which an image must come. */
  readonly limit: number
  /** When the faults began, in milliseconds since 1970. */
  readonly since: number
}

/** When all is well again: everything that was given is there, is what it should be, and was made once. */
export async function checkAll(
  world: FleetWorld,
  ledger: FleetLedger,
  { addresses, limit, since }: CheckOptions,
) {
  for (const name of ledger.digests.keys()) await pullWhole(name, addresses, ledger, limit)
  const sql = `select max(job) as job, count(*)::int as n from jobs
    where kind = 'image' and outcome like '{"built"%' group by key having count(*) > 1`
  assert.deepEqual(await world.fleet.postgres.run(world.fleet.url, sql), [], 'these were built twice')
  const takeovers = checkTakeovers(world, since)
  const expected = await openWorker(world)
  try {
    for (const [name, digest] of ledger.digests) assert.equal(await expected.digestOf(name), digest, name)
  } finally {
    await expected.close()
  }
  return { takeovers }
}

type Start = {
  readonly life: Life
  readonly build: string
  readonly at: number
  readonly member: Member
  readonly image: unknown
}

/**
 * Looks in the logs of all workers: a job that was begun twice was taken from a worker that was in trouble in between.
 * @returns the number of such jobs
 */
function checkTakeovers({ members, troubles }: FleetWorld, since: number): number {
  const starts = members.flatMap((member) => member.lives.flatMap((life) => startsIn(life, member)))
  const recent = starts.filter(({ at }) => at >= since)
  const byBuild = Map.groupBy(recent, ({ build }) => build)
  let takeovers = 0
  for (const of of byBuild.values()) {
    const inOrder = of.toSorted((a, b) => a.at - b.at)
    for (const [n, next] of inOrder.slice(1).entries()) {
      const before = inOrder[n]
      assert.ok(before)
      const excuse = troubles.some((trouble) => excuses(trouble, before, next))
      assert.ok(
        excuse || wasLate(before),
        `${String(next.image)} was built twice without a reason, ${next.at - before.at} ms apart`,
      )
      takeovers += 1
    }
  }
  return takeovers
}

/** Whether a worker says that it could not renew its lease in time, as on a machine that is too busy. */
const wasLate = ({ life, build }: Start): boolean =>
  life.server.log.some(({ msg }) => {
    const found = /^the lease of job (?<job>\S+) is lost, (?<seconds>[\d.]+) s after/.exec(msg)?.groups
    return found?.['job'] === build && Number(found['seconds']) > leaseOfFleet
  })

const excuses = ({ member, from, to }: Trouble, before: Start, next: Start): boolean =>
  (member === undefined || member === before.member) && from <= next.at && to >= before.at

const startsIn = (life: Life, member: Member): Start[] =>
  life.server.log
    .filter(({ msg }) => msg === 'build started')
    .map(({ time, build, image }) => ({
      build: String(build),
      at: Date.parse(String(time)) - life.ahead * 3_600_000,
      life,
      member,
      image,
    }))
