import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestPostgres } from '../../src/postgres/testing.ts'
import type { NetworkFailure } from '../support/network.ts'
import { until } from '../support/until.ts'
import type { FleetWorld, Member } from './fleet-world.ts'
import type { Random } from './random.ts'

/** What a fault can do besides breaking something. */
export type Hands = {
  /** Pulls a new image as a client that retries does, however long it takes. */
  pull(name: string): Promise<void>
  /** Says whom it affects; otherwise it affects all members. */
  affects(member: Member): void
}

/** Something that goes wrong. */
export type Fault = {
  readonly name: string
  /** It is over when it resolves. */
  run(hands: Hands): Promise<void>
}

// Milliseconds for which a worker is cut off: longer than its lease.
const cutOff = 5_000

const membersOf = ({ members }: FleetWorld, role?: Member['role']): [Member, ...Member[]] => {
  const [first, ...rest] = members.filter((each) => role === undefined || each.role === role)
  if (!first) throw new Error(`the fleet has no ${role}`)
  return [first, ...rest]
}

/** A process is killed and started again: a front end, a worker, or now and then the database. */
export function kill(world: FleetWorld, random: Random): Fault {
  const { postgres } = world.fleet
  if (random.below(membersOf(world).length + 1) === 0)
    return { name: 'the database is killed', run: () => restart(postgres, 0) }
  return replace(random.pick(membersOf(world)), 'SIGKILL')
}

/** A process is stopped, as for an upgrade. */
const stop = (world: FleetWorld, random: Random): Fault => replace(random.pick(membersOf(world)), 'SIGTERM')

const replace = (member: Member, signal: 'SIGKILL' | 'SIGTERM'): Fault => ({
  name: `a ${member.role === 'front' ? 'front end' : 'worker'} is ${signal === 'SIGKILL' ? 'killed' : 'stopped'}`,
  run(hands) {
    hands.affects(member)
    return member.replace(signal)
  },
})

/** A worker does nothing for longer than its lease, and then goes on. */
function freeze(world: FleetWorld, random: Random): Fault {
  const member = random.pick(membersOf(world, 'worker'))
  return {
    name: 'a worker is frozen for longer than its lease',
    async run(hands) {
      hands.affects(member)
      const { pid } = member
      process.kill(pid, 'SIGSTOP')
      try {
        await sleep(cutOff)
      } finally {
        process.kill(pid, 'SIGCONT')
      }
    },
  }
}

/** A worker is cut off from the database and the bucket while it packs an image, which another one then makes. */
export const cutOffWhilePacking = (world: FleetWorld, name: string): Fault => ({
  name: 'a worker is cut off from the network while it packs',
  async run(hands) {
    const workers = membersOf(world, 'worker')
    const pulled = hands.pull(name)
    const builder = () => workers.find(({ log }) => isPacking(log, name))
    await Promise.race([until(() => builder() !== undefined, `a worker packs ${name}`, 120), pulled])
    const worker = builder()
    assert.ok(worker, `nobody has packed ${name}`)
    hands.affects(worker)
    for (const network of worker.networks) await network.fail('hangs')
    try {
      // Another one makes it meanwhile.
      await Promise.all([pulled, sleep(cutOff)])
    } finally {
      for (const network of worker.networks) await network.restore()
    }
  },
})

/** Whether a worker has the packages of an image, and not yet the image. */
function isPacking(log: Member['log'], name: string): boolean {
  const started = log.findLast(({ msg, image }) => msg === 'build started' && image === name)
  const since = started && log.filter(({ build }) => build === started['build']).map(({ msg }) => msg)
  return since?.includes('packages realised') === true && !since.includes('build finished')
}

const breakConnections = ({ fleet }: FleetWorld): Fault => ({
  name: 'the connections to the database break',
  run: () => fleet.postgres.disconnect(fleet.url),
})

/** @param ms for how long it is away */
const loseDatabase = ({ fleet }: FleetWorld, ms: number): Fault => ({
  name: `the database is away for ${ms / 1000} s`,
  run: () => restart(fleet.postgres, ms),
})

/** The leader of several database servers dies, and another one becomes it. */
export const failOver = ({ fleet }: FleetWorld): Fault => ({
  name: 'the database fails over',
  async run() {
    await fleet.postgres.stop('SIGKILL')
    const answers = () =>
      fleet.postgres.run(fleet.url, 'create table if not exists survives (n int)').then(
        () => true,
        () => false,
      )
    await until(answers, 'another server has become the leader', 120)
    await fleet.postgres.start()
  },
})

/** @param ms for how long it fails */
const loseBucket = ({ bucket }: FleetWorld, failure: NetworkFailure, ms: number): Fault[] =>
  bucket
    ? [
        {
          name: `the bucket ${failure} for ${ms / 1000} s`,
          async run() {
            await bucket.fail(failure)
            try {
              await sleep(ms)
            } finally {
              await bucket.restore()
            }
          },
        },
      ]
    : []

async function restart(postgres: TestPostgres, outage: number): Promise<void> {
  await postgres.stop('SIGKILL')
  await sleep(outage)
  await postgres.start()
}

// Kills for each fault of another kind that is over soon, and for each that takes as long as an outage.
const [killsPerFault, killsPerOutage] = [25, 100]

/**
 * So many kills, and everything else that can break between them, in an order that the seed chooses.
 * @param outage milliseconds for which the database or the bucket is away
 */
export function planFaults(world: FleetWorld, random: Random, kills: number, outage: number): Fault[] {
  const times = (count: number, make: (n: number) => readonly Fault[]) =>
    Array.from({ length: Math.ceil(count) }, (_, n) => make(n)).flat()
  const all = [
    ...times(kills, () => [kill(world, random)]),
    ...times(kills / killsPerFault, (n) => [
      stop(world, random),
      freeze(world, random),
      breakConnections(world),
      ...world.large.slice(n, n + 1).map((name) => cutOffWhilePacking(world, name)),
    ]),
    ...times(kills / killsPerOutage, () => [
      loseDatabase(world, outage),
      ...(['refuses', 'hangs', 'is unavailable'] as const).flatMap((how) => loseBucket(world, how, outage)),
    ]),
  ]
  return random.some(all, all.length)
}

/** How many images of `large` a plan needs. */
export const largeFor = (kills: number): number => Math.ceil(kills / killsPerFault)
