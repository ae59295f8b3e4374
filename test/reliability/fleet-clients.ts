import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { digestOf } from '../../src/image/digest.ts'
import { mediaTypes } from '../../src/image/oci.ts'

/** What clients of a fleet were given, which must hold for ever. */
export type FleetLedger = {
  /** The digest of each image, by name. */
  readonly digests: Map<string, string>
  /** Times in milliseconds: of a new image for a client that retries, and of a known one. */
  readonly figures: { pulls: number; retries: number; cut: number; slowest: number; slowestKnown: number }
}

export const openFleetLedger = (): FleetLedger => ({
  digests: new Map(),
  figures: { pulls: 0, retries: 0, cut: 0, slowest: 0, slowestKnown: 0 },
})

/** Where a request goes: the addresses are tried in turn, as a load balancer does, when a connection breaks. */
export type Addresses = () => readonly string[]

/** @returns undefined when no address answers */
async function getAny(addresses: readonly string[], path: string, ledger: FleetLedger) {
  for (const address of addresses) {
    try {
      const response = await fetch(`http://${address}/v2/${path}`, {
        headers: { Accept: mediaTypes.oci.manifest },
        signal: AbortSignal.timeout(60_000),
      })
      return { response, bytes: Buffer.from(await response.arrayBuffer()) }
    } catch {
      ledger.figures.cut += 1 // its process was killed
    }
  }
  return undefined
}

/**
 * Pulls an image, whatever happens, as a client that retries; looks at each byte.
 * @returns how many milliseconds that took
 */
export async function pullWhole(name: string, addresses: Addresses, ledger: FleetLedger, limit: number) {
  const started = performance.now()
  let last = 'nothing answers'
  for (;;) {
    const took = performance.now() - started
    assert.ok(took < limit, `${name} has not come within ${limit} ms: ${last}`)
    const answer = await getAny(addresses(), `${name}/manifests/latest`, ledger)
    if (answer?.response.status === 200) {
      await checkImage(name, answer.bytes, addresses, ledger, limit)
      ledger.figures.pulls += 1
      return took
    }
    if (answer) {
      const { status, headers } = answer.response
      last = `${status}: ${answer.bytes.toString()}`
      assert.ok(status === 429 || status === 503, last)
      assert.ok(Number(headers.get('retry-after')) > 0, last)
    }
    ledger.figures.retries += 1
    await sleep(100)
  }
}

/** Every byte of an image has its digest, and the image is the one that was given before. */
async function checkImage(
  name: string,
  bytes: Buffer,
  addresses: Addresses,
  ledger: FleetLedger,
  limit: number,
) {
  const digest = digestOf(bytes)
  const before = ledger.digests.get(name)
  assert.equal(digest, before ?? digest, `${name} was another image before`)
  ledger.digests.set(name, digest)
  const { config, layers } = JSON.parse(bytes.toString()) as Record<'config', { digest: string }> & {
    layers: { digest: string }[]
  }
  for (const part of [config, ...layers]) {
    const end = performance.now() + limit
    for (;;) {
      const blob = await getAny(addresses(), `${name}/blobs/${part.digest}`, ledger)
      if (blob?.response.status === 200) {
        assert.equal(digestOf(blob.bytes), part.digest)
        break
      }
      assert.ok(!blob || blob.response.status === 503, `${name}: ${part.digest}: ${blob?.response.status}`)
      assert.ok(performance.now() < end, `${name}: a blob has not come within ${limit} ms`)
      await sleep(100)
    }
  }
}

/**
 * Asks for the manifest of a known image once: it must come soon, whatever else is broken.
 * @param limit milliseconds
 */
export async function pullKnown(
  name: string,
  addresses: Addresses,
  ledger: FleetLedger,
  limit: number,
): Promise<void> {
  const started = performance.now()
  const asked = addresses()
  const answer = await getAny(asked, `${name}/manifests/latest`, ledger)
  if (!answer) return // the front end is being replaced
  const took = performance.now() - started
  assert.equal(answer.response.status, 200, `${name}, of ${asked[0]}: ${answer.bytes.toString()}`)
  assert.equal(digestOf(answer.bytes), ledger.digests.get(name))
  assert.ok(took < limit, `${name} is known, and took ${Math.round(took)} ms`)
  ledger.figures.pulls += 1
  ledger.figures.slowestKnown = Math.max(ledger.figures.slowestKnown, took)
}
