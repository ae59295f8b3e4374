import { setTimeout as sleep } from 'node:timers/promises'
import { checkAll, untilSettled } from './fleet-checks.ts'
import { openFleetLedger, pullKnown, pullWhole, type Addresses, type FleetLedger } from './fleet-clients.ts'
import type { Fault, FaultContext } from './fleet-faults.ts'
import type { FleetWorld, Member } from './fleet-world.ts'
import type { Random } from './random.ts'

export type FleetFaultOptions = {
  readonly random: Random
  readonly faults: readonly Fault[]
  /** How long a new image may take, including retries, in ms. */
  readonly limit: number
  /** The address of a load balancer that clients use in addition to the front ends. */
  readonly balancer?: string | undefined
  readonly say: (line: string) => void
}

// How long a known image may take on a busy machine, in ms; the figures show how long it took.
const knownLimit = 45_000

/**
 * Injects faults into a fleet while clients pull, and checks: every running front end serves known images at once; other
 * images arrive within a limit; all blobs match their digests; the digest of a name never changes; no job outlasts its
 * lease without a worker; no image is built twice unless its worker was lost.
 * @throws AssertionError
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
  const pullFromEachFront = async () => {
    for (const { address } of fronts) await pullWhole(known, () => [address], ledger, limit)
  }
  await pullFromEachFront()
  const stopClients = new AbortController()
  const clients = [
    keepPullingKnown(
      known,
      [
        addresses,
        ...fronts.map(({ address }) => () => [address]),
      ],
      ledger,
      stopClients.signal,
    ),
    keepPullingNew(cold, addresses, ledger, { limit, signal: stopClients.signal }),
  ]
  const failed = Promise.all(clients)
  failed.catch(() => {}) // awaited below
  const started = performance.now()
  const since = Date.now()
  try {
    for (const [count, fault] of faults.entries()) {
      await Promise.race([sleep(random.below(1_000)), failed])
      await applyFault(world, fault, async (name) => void (await pullWhole(name, addresses, ledger, limit)))
      await untilSettled(world)
      // Afterwards each front end can serve it without the database.
      await pullFromEachFront()
      const { pulls, slowest, slowestKnown } = ledger.figures
      const times = `the slowest new image took ${Math.round(slowest)} ms, the slowest known one ${Math.round(slowestKnown)} ms`
      const seconds = Math.round((performance.now() - started) / 1000)
      say(`${count + 1} of ${faults.length}, ${seconds} s: ${fault.name}; ${pulls} pulls, ${times}`)
      // Ends the run if a client failed.
      await Promise.race([failed, Promise.resolve()])
    }
  } finally {
    stopClients.abort()
  }
  await failed
  const checked = await checkAll(world, ledger, { addresses, limit, since })
  return { ...ledger.figures, ...checked, faults: faults.length, images: ledger.digests.size }
}

/** Runs a fault, and records when it happened and which members it affected. */
async function applyFault(
  { faultPeriods }: FleetWorld,
  fault: Fault,
  pull: FaultContext['pull'],
): Promise<void> {
  const from = Date.now()
  const affected = new Set<Member>()
  try {
    await fault.run({ pull, affects: (member) => affected.add(member) })
  } finally {
    const to = Date.now()
    if (affected.size === 0) faultPeriods.push({ from, to })
    for (const member of affected) faultPeriods.push({ member, from, to })
  }
}

async function keepPullingKnown(
  name: string,
  sources: readonly Addresses[],
  ledger: FleetLedger,
  signal: AbortSignal,
) {
  while (!signal.aborted) {
    for (const source of sources) await pullKnown(name, source, ledger, knownLimit)
    await sleep(100)
  }
}

/** Pulls one new image after another, each with three concurrent clients. */
async function keepPullingNew(
  names: readonly string[],
  addresses: Addresses,
  ledger: FleetLedger,
  { limit, signal }: { readonly limit: number; readonly signal: AbortSignal },
) {
  for (let next = 0; !signal.aborted; next += 1) {
    // After images of one package, images of two.
    const [one, two] = [names[next % names.length], names[Math.floor(next / names.length)]]
    if (one === undefined || two === undefined) return // all combinations are used
    const name = next < names.length ? one : `${one}/${two}`
    if (next >= names.length && one === two) continue
    const took = await Promise.all([1, 2, 3].map(() => pullWhole(name, addresses, ledger, limit)))
    ledger.figures.slowest = Math.max(ledger.figures.slowest, ...took)
    await sleep(200)
  }
}
