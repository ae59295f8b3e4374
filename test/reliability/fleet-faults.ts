import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import type { TestPostgres } from '../../src/postgres/testing.ts'
import type { NetworkFailure } from '../support/network.ts'
import { daemons } from '../support/ceph.ts'
import { until } from '../support/until.ts'
import type { FleetWorld, Member } from './fleet-world.ts'
import type { Random } from './random.ts'

/** What a fault can use. */
export type FaultContext = {
  /** Pulls a new image, retrying until it succeeds. */
  pull(name: string): Promise<void>
  /** Declares that the fault affects only this member (and others declared); by default it affects all. */
  affects(member: Member): void
}

/** A fault of the fleet. */
export type Fault = {
  readonly name: string
  /** Resolves when the fault is over. */
  run(context: FaultContext): Promise<void>
}

// How long a worker is cut off, in ms: longer than its lease.
const cutOff = 5_000

const membersOf = ({ members }: FleetWorld, role?: Member['role']): [Member, ...Member[]] => {
  const [first, ...rest] = members.filter((each) => role === undefined || each.role === role)
  if (!first) throw new Error(`the fleet has no ${role}`)
  return [first, ...rest]
}

/** Kills and restarts a random process: a front end, a worker, the database, or one of the object store. */
export function kill(world: FleetWorld, random: Random): Fault {
  const { objectStore, fleet } = world
  const members: (() => Fault)[] = membersOf(world).map((member) => () => replace(member, 'SIGKILL'))
  const ofStore = daemons.map((daemon) => (): Fault => ({
    name: `the ${daemon} daemon of the object store is killed`,
    run: async () => objectStore?.replace(daemon),
  }))
  const database = (): Fault => ({ name: 'the database is killed', run: () => restart(fleet.postgres, 0) })
  return random.pick([database, ...members, ...(objectStore ? ofStore : [])])()
}

/** Stops and restarts a random process, as for an upgrade. */
const stop = (world: FleetWorld, random: Random): Fault => replace(random.pick(membersOf(world)), 'SIGTERM')

const replace = (member: Member, signal: 'SIGKILL' | 'SIGTERM'): Fault => ({
  name: `a ${member.role === 'front' ? 'front end' : 'worker'} is ${signal === 'SIGKILL' ? 'killed' : 'stopped'}`,
  run(context) {
    context.affects(member)
    return member.replace(signal)
  },
})

/** Suspends a worker for longer than its lease. */
function freeze(world: FleetWorld, random: Random): Fault {
  const member = random.pick(membersOf(world, 'worker'))
  return {
    name: 'a worker is frozen for longer than its lease',
    async run(context) {
      context.affects(member)
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

/** Cuts a worker off from the database and the bucket while it packs an image, which another worker must then build. */
export const cutOffWhilePacking = (world: FleetWorld, name: string): Fault => ({
  name: 'a worker is cut off from the network while it packs',
  async run(context) {
    const workers = membersOf(world, 'worker')
    const pulled = context.pull(name)
    const builder = () => workers.find(({ log }) => isPacking(log, name))
    await Promise.race([until(() => builder() !== undefined, `a worker packs ${name}`, 120), pulled])
    const worker = builder()
    assert.ok(worker, `no worker packed ${name}`)
    context.affects(worker)
    for (const network of worker.networks) await network.fail('hangs')
    try {
      // Another worker builds the image in the meantime.
      await Promise.all([pulled, sleep(cutOff)])
    } finally {
      for (const network of worker.networks) await network.restore()
    }
  },
})

/** Whether a worker has realised the packages of an image but not finished the image. */
function isPacking(log: Member['log'], name: string): boolean {
  const started = log.findLast(({ msg, image }) => msg === 'build started' && image === name)
  const since = started && log.filter(({ build }) => build === started['build']).map(({ msg }) => msg)
  return since?.includes('packages realised') === true && !since.includes('build finished')
}

const breakConnections = ({ fleet }: FleetWorld): Fault => ({
  name: 'the connections to the database break',
  run: () => fleet.postgres.disconnect(fleet.url),
})

/** @param ms the duration of the outage */
const loseDatabase = ({ fleet }: FleetWorld, ms: number): Fault => ({
  name: `the database is down for ${ms / 1000} s`,
  run: () => restart(fleet.postgres, ms),
})

/** Kills the leader of several database servers, so that another one takes over. */
export const failOver = ({ fleet }: FleetWorld): Fault => ({
  name: 'the database fails over',
  async run() {
    await fleet.postgres.stop('SIGKILL')
    const isWritable = () =>
      fleet.postgres.run(fleet.url, 'create table if not exists survives (n int)').then(
        () => true,
        () => false,
      )
    await until(isWritable, 'another server becomes the leader', 120)
    await fleet.postgres.start()
  },
})

/** @param ms the duration of the failure */
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

// The number of kills per short fault of another kind, and per long outage.
const [killsPerFault, killsPerOutage] = [25, 100]

/**
 * Plans `kills` kills and a proportional number of other faults, in an order that the seed determines.
 * @param outage how long the database or the bucket is down, in ms
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

/** The number of `large` images that a plan needs. */
export const largeFor = (kills: number): number => Math.ceil(kills / killsPerFault)
