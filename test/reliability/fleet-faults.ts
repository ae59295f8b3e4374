import { setTimeout as sleep } from 'node:timers/promises'
import type { TestPostgres } from '../../src/postgres/testing.ts'
import type { FleetWorld, Member } from './fleet-world.ts'
import type { Random } from './random.ts'

/** Something that goes wrong, and is over when it resolves. */
export type Fault = { readonly name: string; run(): Promise<void> }

// Milliseconds for which a worker is cut off: longer than its lease.
const cutOff = 5_000

/**
 * Chooses what goes wrong next. Front ends are killed one at a time, so that others serve.
 * @param outage milliseconds for which the database is away
 */
export function chooseFault({ members, fleet }: FleetWorld, random: Random, outage: number): Fault {
  const of = (role: Member['role']) => {
    const [first, ...rest] = members.filter((each) => each.role === role)
    if (!first) throw new Error(`the fleet has no ${role}`)
    return random.pick([first, ...rest])
  }
  const worker = of('worker')
  const front = of('front')
  return random.pick([
    { name: 'a worker is killed', run: () => worker.replace('SIGKILL') },
    { name: 'a worker is killed', run: () => worker.replace('SIGKILL') },
    { name: 'a worker is stopped', run: () => worker.replace('SIGTERM') },
    { name: 'a worker is cut off for longer than its lease', run: () => freeze(worker.pid) },
    { name: 'a front end is killed', run: () => front.replace('SIGKILL') },
    { name: 'a front end is stopped', run: () => front.replace('SIGTERM') },
    { name: 'the connections to the database break', run: () => fleet.postgres.disconnect(fleet.url) },
    { name: 'the database is killed', run: () => restart(fleet.postgres, outage) },
  ])
}

async function freeze(pid: number): Promise<void> {
  process.kill(pid, 'SIGSTOP')
  try {
    await sleep(cutOff)
  } finally {
    process.kill(pid, 'SIGCONT')
  }
}

async function restart(postgres: TestPostgres, outage: number): Promise<void> {
  await postgres.stop('SIGKILL')
  await sleep(outage)
  await postgres.start()
}
