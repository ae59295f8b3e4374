import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { openWorker } from './fleet-expected.ts'
import { openFleetLedger, pullKnown, pullWhole, type Addresses, type FleetLedger } from './fleet-clients.ts'
import { chooseFault } from './fleet-faults.ts'
import type { FleetWorld } from './fleet-world.ts'
import { createRandom } from './random.ts'

export type FleetFaultOptions = {
  readonly seed: number
  /** How often something goes wrong. */
  readonly faults: number
  /** Milliseconds for which the database is away. */
  readonly outage: number
  /** Milliseconds within which an image must come to a client that retries. */
  readonly limit: number
  /** Where clients go besides the front ends, such as a load balancer. */
  readonly balancer?: string | undefined
  readonly say: (line: string) => void
}

/**
 * Breaks a fleet again and again while clients pull, and looks at everything that must hold: known images come at once, from
 * each front end that runs; others come within a limit; all bytes have their digests; a name is one image for ever; and no
 * image is built twice, unless its worker was lost.
 * @throws what does not hold
 */
export async function runFleetFaults(world: FleetWorld, options: FleetFaultOptions) {
  const { seed, faults, outage, limit, balancer, say } = options
  const random = createRandom(seed)
  const ledger = openFleetLedger()
  const fronts = world.members.filter(({ role }) => role === 'front')
  const addresses: Addresses = () => {
    const all = fronts.map(({ address }) => address)
    const first = random.below(all.length)
    return [...(balancer === undefined ? [] : [balancer]), ...all.slice(first), ...all.slice(0, first)]
  }
  const [known = '', ...cold] = world.names
  for (const { address } of fronts) await pullWhole(known, () => [address], ledger, limit)
  const over = new AbortController()
  const clients = [
    pullKnownAlways(known, addresses, ledger, over.signal),
    pullCold(cold, addresses, ledger, { limit, signal: over.signal }),
  ]
  const failed = Promise.all(clients)
  failed.catch(() => {}) // it is awaited below
  try {
    for (let count = 1; count <= faults; count += 1) {
      await Promise.race([sleep(random.below(1_000)), failed])
      const fault = chooseFault(world, random, outage)
      await fault.run()
      // Each front end knows it, and so serves it without the database.
      for (const { address } of fronts) await pullWhole(known, () => [address], ledger, limit)
      const { pulls, slowest } = ledger.figures
      say(`${count}: ${fault.name}; ${pulls} pulls, the slowest new image took ${Math.round(slowest)} ms`)
      // A client that has failed ends the run.
      await Promise.race([failed, Promise.resolve()])
    }
  } finally {
    over.abort()
  }
  await failed
  await checkAll(world, ledger, addresses, limit)
  return { ...ledger.figures, faults, images: ledger.digests.size }
}

async function pullKnownAlways(name: string, addresses: Addresses, ledger: FleetLedger, signal: AbortSignal) {
  while (!signal.aborted) {
    await pullKnown(name, addresses, ledger)
    await sleep(20)
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
    const name = next < names.length ? one : `${one}/${two}`
    if (name === undefined || one === two) continue
    const took = await Promise.all([1, 2, 3].map(() => pullWhole(name, addresses, ledger, limit)))
    ledger.figures.slowest = Math.max(ledger.figures.slowest, ...took)
  }
}

/** When all is well again: everything that was given is there, is what it should be, and was made once. */
async function checkAll(world: FleetWorld, ledger: FleetLedger, addresses: Addresses, limit: number) {
  for (const name of ledger.digests.keys()) await pullWhole(name, addresses, ledger, limit)
  const sql = `select max(job) as job, count(*)::int as n from jobs
    where kind = 'image' and outcome like '{"built"%' group by key having count(*) > 1`
  assert.deepEqual(await world.fleet.postgres.run(world.fleet.url, sql), [], 'these were built twice')
  const expected = await openWorker(world)
  try {
    for (const [name, digest] of ledger.digests) assert.equal(await expected.digestOf(name), digest, name)
  } finally {
    await expected.close()
  }
}
