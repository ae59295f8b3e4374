import assert from 'node:assert/strict'
import { leaseOfFleet } from '../support/fleet.ts'
import { until } from '../support/until.ts'
import { pullWhole, type Addresses, type FleetLedger } from './fleet-clients.ts'
import { openWorker } from './fleet-expected.ts'
import type { FleetWorld, Incarnation, Member, FaultPeriod } from './fleet-world.ts'

// In seconds: how much later than its lease a job may be taken over, because workers poll every two seconds and the
// machine may be busy.
const takeoverMargin = 60

/** Waits until all workers are back and no job has an expired lease. */
export async function untilSettled({ fleet, members }: FleetWorld): Promise<void> {
  const { postgres, url } = fleet
  const count = async (sql: string) =>
    Number((await postgres.run(url, `select count(*)::int as n ${sql}`))[0]?.['n'])
  const workers = members.filter(({ role }) => role === 'worker').length
  await until(
    async () => (await count('from workers where seen_until > now()')) >= workers,
    'all workers are back',
    takeoverMargin + 15,
  )
  const overdue = `from jobs where state = 'running' and lease_until < now() - interval '2 s'
    and greatest(waiting_until, expected_until, background_until) > now()`
  await until(async () => (await count(overdue)) === 0, 'no job has an expired lease', takeoverMargin)
}

export type CheckOptions = {
  readonly addresses: Addresses
  /** The time limit for each image, in ms. */
  readonly limit: number
  /** The time of the first fault, in ms since the epoch. */
  readonly since: number
}

/** Checks that every image that a client received is still available, is correct, and was built once. */
export async function checkAll(
  world: FleetWorld,
  ledger: FleetLedger,
  { addresses, limit, since }: CheckOptions,
) {
  for (const name of ledger.digests.keys()) await pullWhole(name, addresses, ledger, limit)
  const sql = `select max(job) as job, count(*)::int as n from jobs
    where kind = 'image' and outcome like '{"built"%' group by key having count(*) > 1`
  assert.deepEqual(await world.fleet.postgres.run(world.fleet.url, sql), [], 'images built twice')
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
  readonly incarnation: Incarnation
  readonly build: string
  readonly at: number
  readonly member: Member
  readonly image: unknown
}

/**
 * Checks the logs of all workers: a job may start twice only if a fault affected its first worker in between.
 * @returns the number of such jobs
 */
function checkTakeovers({ members, faultPeriods }: FleetWorld, since: number): number {
  const starts = members.flatMap((member) =>
    member.incarnations.flatMap((incarnation) => startsIn(incarnation, member)),
  )
  const recent = starts.filter(({ at }) => at >= since)
  const byBuild = Map.groupBy(recent, ({ build }) => build)
  let takeovers = 0
  for (const of of byBuild.values()) {
    const inOrder = of.toSorted((a, b) => a.at - b.at)
    for (const [n, next] of inOrder.slice(1).entries()) {
      const previous = inOrder[n]
      assert.ok(previous)
      const isExplained = faultPeriods.some((period) => explains(period, previous, next))
      assert.ok(
        isExplained || lostLease(previous),
        `${String(next.image)} was built twice without a fault, ${next.at - previous.at} ms apart`,
      )
      takeovers += 1
    }
  }
  return takeovers
}

/** Whether a worker logged that it could not renew its lease in time, as happens on an overloaded machine. */
const lostLease = ({ incarnation, build }: Start): boolean =>
  incarnation.server.log.some(({ msg }) => {
    const lost = /^the lease of job (?<job>\S+) is lost, (?<seconds>[\d.]+) s after/.exec(msg)?.groups
    return lost?.['job'] === build && Number(lost['seconds']) > leaseOfFleet
  })

const explains = ({ member, from, to }: FaultPeriod, previous: Start, next: Start): boolean =>
  (member === undefined || member === previous.member) && from <= next.at && to >= previous.at

const startsIn = (incarnation: Incarnation, member: Member): Start[] =>
  incarnation.server.log
    .filter(({ msg }) => msg === 'build started')
    .map(({ time, build, image }) => ({
      build: String(build),
      at: Date.parse(String(time)) - incarnation.ahead * 3_600_000,
      incarnation,
      member,
      image,
    }))
