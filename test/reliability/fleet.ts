import { setTimeout as sleep } from 'node:timers/promises'
import { checkAll, untilSettled } from './fleet-checks.ts'
import { openFleetLedger, pullKnown, pullWhole, type Addresses, type FleetLedger } from './fleet-clients.ts'
import type { Fault, Hands } from './fleet-faults.ts'
import type { FleetWorld, Member } from './fleet-world.ts'
import type { Random } from './random.ts'

export type FleetFaultOptions = {
  readonly random: Random
  readonly faults: readonly Fault[]
  /** Milliseconds within which an image must come to a client that retries. */
  readonly limit: number
  /** Where clients go besides the front ends, such as a load balancer. */
  readonly balancer?: string | undefined
  readonly say: (line: string) => void
}

// Milliseconds within which a known image must come, however busy the machine is; the figures tell how long it took.
const knownLimit = 45_000

/**
 * Breaks a fleet again and again while clients pull, and looks at everything that must hold: known images come at once, from
 * each front end that runs; others come within a limit; all bytes have their digests; a name is one image for ever; nothing
 * waits for longer than a lease; and no image is built twice, unless its worker was lost.
 * @throws what does not hold
 */
export async function runFleetFaults(world: FleetWorld, options: FleetFaultOptions) {
  const { random, faults, limit, balancer, say } = options
  const ledger = openFleetLedger()
  const fronts = world.members.filter(({ role }) => role === 'front')
  const addresses: Addresses = () => {
    const all = fronts.map(({ address }) => address)
    const first = random.below(all.length)
    return [...(balancer === undefined ? [] : [balancer]), ...all.slice(first), ...all.slice(0, first)]
  }
  const [known = '', ...cold] = world.names
  const everyFrontKnows = async () => {
    for (const { address } of fronts) await pullWhole(known, () => [address], ledger, limit)
  }
  await everyFrontKnows()
  const over = new AbortController()
  const clients = [
    pullKnownAlways(
      known,
      [
        addresses,
        ...fronts.map(({ address }) => () => [address]),
      ],
      ledger,
      over.signal,
    ),
    pullCold(cold, addresses, ledger, { limit, signal: over.signal }),
  ]
  const failed = Promise.all(clients)
  failed.catch(() => {}) // it is awaited below
  const started = performance.now()
  const since = Date.now()
  try {
    for (const [count, fault] of faults.entries()) {
      await Promise.race([sleep(random.below(1_000)), failed])
      await suffer(world, fault, async (name) => void (await pullWhole(name, addresses, ledger, limit)))
      await untilSettled(world)
      // So it serves it without the database, too.
      await everyFrontKnows()
      const { pulls, slowest, slowestKnown } = ledger.figures
      const times = `the slowest new image took ${Math.round(slowest)} ms, the slowest known one ${Math.round(slowestKnown)} ms`
      const seconds = Math.round((performance.now() - started) / 1000)
      say(`${count + 1} of ${faults.length}, ${seconds} s: ${fault.name}; ${pulls} pulls, ${times}`)
      // A client that has failed ends the run.
      await Promise.race([failed, Promise.resolve()])
    }
  } finally {
    over.abort()
  }
  await failed
  const checked = await checkAll(world, ledger, { addresses, limit, since })
  return { ...ledger.figures, ...checked, faults: faults.length, images: ledger.digests.size }
}

/** Lets a fault happen, and notes whom it affected. */
async function suffer({ troubles }: FleetWorld, fault: Fault, pull: Hands['pull']): Promise<void> {
  const from = Date.now()
  const affected = new Set<Member>()
  try {
    await fault.run({ pull, affects: (member) => affected.add(member) })
  } finally {
    const to = Date.now()
    if (affected.size === 0) troubles.push({ from, to })
    for (const member of affected) troubles.push({ member, from, to })
  }
}

async function pullKnownAlways(
  name: string,
  ways: readonly Addresses[],
  ledger: FleetLedger,
  signal: AbortSignal,
) {
  while (!signal.aborted) {
    for (const way of ways) await pullKnown(name, way, ledger, knownLimit)
    await sleep(100)
  }
}

/** Pulls one new image after another, each by three clients at the same time. */
async function pullCold(
  names: readonly string[],
  addresses: Addresses,
  ledger: FleetLedger,
  { limit, signal }: { readonly limit: number; readonly signal: AbortSignal },
) {
  for (let next = 0; !signal.aborted; next += 1) {
    // When all single packages are made, images of two.
    const [one, two] = [names[next % names.length], names[Math.floor(next / names.length)]]
    if (one === undefined || two === undefined) return // there are no others
    const name = next < names.length ? one : `${one}/${two}`
    if (next >= names.length && one === two) continue
    const took = await Promise.all([1, 2, 3].map(() => pullWhole(name, addresses, ledger, limit)))
    ledger.figures.slowest = Math.max(ledger.figures.slowest, ...took)
    await sleep(200)
  }
}
