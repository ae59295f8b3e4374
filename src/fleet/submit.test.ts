import assert from 'node:assert/strict'
import { it } from 'node:test'
import { failsWith } from '../builds/builds-conformance.ts'
import type { ImageKey } from '../catalog/catalog.ts'
import { NixeryError } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { parseImageReference } from '../image/name.ts'
import { noPostgres, startPostgres } from '../postgres/testing.ts'
import { until } from '../../test/support/until.ts'
import type { Job, Outcome } from './jobs.ts'
import { createLeases } from './leases.ts'
import { openTestFleet } from './testing.ts'

const hour = 3_600_000
const options = { requestId: 'test' }
const request = parseImageReference('hello')
const part = { digest: digestOf('x'), size: 1 }
const image = { manifests: { docker: part, oci: part }, config: part, layers: [] }
const notReady: Outcome = { failure: { code: 'NOT_READY', message: 'not ready' } }

it('an image that exists is served when its build may not be queued', { skip: noPostgres }, async () => {
  const server = await startPostgres()
  const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
  const leases = createLeases(fleet, 'worker', hour)
  const answer = async (kind: Job['kind'], outcome: Outcome, usual: number) => {
    let lease: Awaited<ReturnType<typeof leases.claim>>
    await until(async () => (lease = await leases.claim([kind], ['x86_64-linux'])) !== undefined, kind)
    assert.ok(lease)
    await leases.end(lease, outcome, { usual, expected: usual })
  }
  await fleet.table.submit({ kind: 'pin', request }, 'waiting', options)
  await answer('pin', { world: 'w', at: 0 }, hour)
  const front = await fleet.front()

  // By the client's quota.
  const mayStart = () => Promise.reject(new NixeryError('QUOTA_EXCEEDED', 'enough'))
  const refused = await front.submit(request, { ...options, mayStart })
  await answer('ready', notReady, 0)
  await failsWith('QUOTA_EXCEEDED', front.result(refused.id))
  const served = await front.submit(request, { ...options, mayStart })
  await answer('ready', { built: { key: 'k' as ImageKey, image } }, 0)
  assert.deepEqual(await front.result(served.id), image)

  // By the length of the queue.
  for (const name of ['a', 'b', 'c']) {
    const job = { kind: 'image', request: parseImageReference(name), world: 'w' } as const
    await fleet.table.submit(job, 'waiting', options)
  }
  const first = await front.submit(request, options)
  await answer('ready', notReady, 0)
  await failsWith('OVERLOADED', front.result(first.id))
  const second = await front.submit(request, options)
  await answer('ready', { built: { key: 'k' as ImageKey, image } }, 0)
  assert.deepEqual(await front.result(second.id), image)
  await fleet.close()
  await server.dispose()
})
