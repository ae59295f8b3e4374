import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '../../src/image/digest.ts'
import { mediaTypes } from '../../src/image/oci.ts'

/** The images that clients of a fleet received. Their digests must never change. */
export type FleetLedger = {
  /** The digest of each image, by name. */
  readonly digests: Map<string, string>
  /** `slowest` (a new image, with retries) and `slowestKnown` (a known image) are in ms. */
  readonly figures: { pulls: number; retries: number; cut: number; slowest: number; slowestKnown: number }
}

export const openFleetLedger = (): FleetLedger => ({
  digests: new Map(),
  figures: { pulls: 0, retries: 0, cut: 0, slowest: 0, slowestKnown: 0 },
})

/** The addresses for a request, tried in turn when a connection fails, as a load balancer does. */
export type Addresses = () => readonly string[]

/** @returns undefined if no address responds */
async function getAny(addresses: readonly string[], path: string, ledger: FleetLedger) {
  for (const address of addresses) {
    try {
      const response = await fetch(`http://${address}/v2/${path}`, {
        headers: { Accept: mediaTypes.oci.manifest },
        signal: AbortSignal.timeout(60_000),
      })
      return { response, bytes: Buffer.from(await response.arrayBuffer()) }
    } catch {
      ledger.figures.cut += 1 // the process was killed
    }
  }
  return undefined
}

/**
 * Pulls an image, retrying until it succeeds, and verifies every blob.
 * @returns the time until the successful request, in ms
 */
export async function pullWhole(name: string, addresses: Addresses, ledger: FleetLedger, limit: number) {
  const started = performance.now()
  let last = 'no address responds'
  for (;;) {
    const took = performance.now() - started
    assert.ok(took < limit, `${name} did not arrive within ${limit} ms: ${last}`)
    const reply = await getAny(addresses(), `${name}/manifests/latest`, ledger)
    if (reply?.response.status === 200) {
      await checkImage(name, reply.bytes, addresses, ledger, limit)
      ledger.figures.pulls += 1
      return took
    }
    if (reply) {
      const { status, headers } = reply.response
      last = `${status}: ${reply.bytes.toString()}`
      assert.ok(status === 429 || status === 503, last)
      assert.ok(Number(headers.get('retry-after')) > 0, last)
    }
    ledger.figures.retries += 1
    await sleep(100)
  }
}

/** Verifies the blobs of an image, and that its digest has not changed. */
async function checkImage(
  name: string,
  bytes: Buffer,
  addresses: Addresses,
  ledger: FleetLedger,
  limit: number,
) {
  const digest = digestOf(bytes)
  const previous = ledger.digests.get(name)
  assert.equal(digest, previous ?? digest, `the digest of ${name} changed`)
  ledger.digests.set(name, digest)
  const { config, layers } = JSON.parse(bytes.toString()) as Record<'config', { digest: string }> & {
    layers: { digest: string }[]
  }
  for (const descriptor of [config, ...layers]) {
    const end = performance.now() + limit
    for (;;) {
      const blob = await getAny(addresses(), `${name}/blobs/${descriptor.digest}`, ledger)
      if (blob?.response.status === 200) {
        assert.equal(digestOf(blob.bytes), descriptor.digest)
        break
      }
      assert.ok(
        !blob || blob.response.status === 503,
        `${name}: ${descriptor.digest}: ${blob?.response.status}`,
      )
      assert.ok(performance.now() < end, `${name}: a blob did not arrive within ${limit} ms`)
      await sleep(100)
    }
  }
}

/**
 * Requests the manifest of a known image once; it must arrive soon, whatever else is broken.
 * @param limit in ms
 */
export async function pullKnown(
  name: string,
  addresses: Addresses,
  ledger: FleetLedger,
  limit: number,
): Promise<void> {
  const started = performance.now()
  const tried = addresses()
  const answer = await getAny(tried, `${name}/manifests/latest`, ledger)
  if (!answer) return // the front end is being replaced
  const took = performance.now() - started
  assert.equal(answer.response.status, 200, `${name} from ${tried[0]}: ${answer.bytes.toString()}`)
  assert.equal(digestOf(answer.bytes), ledger.digests.get(name))
  assert.ok(took < limit, `the known image ${name} took ${Math.round(took)} ms`)
  ledger.figures.pulls += 1
  ledger.figures.slowestKnown = Math.max(ledger.figures.slowestKnown, took)
}
