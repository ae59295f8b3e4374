import assert from 'node:assert/strict'
import { it } from 'node:test'
import pg from 'pg'
import { buildImage } from '../builds/builds.ts'
import type { ImageKey } from '../catalog/catalog.ts'
import { digestOf } from '../image/digest.ts'
import { parseImageReference } from '../image/name.ts'
import { noPostgres, startPostgres } from '../postgres/testing.ts'
import { keyOfJob, type Job, type Outcome } from './jobs.ts'
import { createLeases } from './leases.ts'
import { openTestFleet } from './testing.ts'

const hour = 3_600_000
const options = { requestId: 'test' }
const [one, two] = [parseImageReference('hello'), parseImageReference('hello/git')]
const world = 'w'

it('known images cost no statement in memory, and one otherwise', { skip: noPostgres }, async (t) => {
  const server = await startPostgres()
  const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
  const leases = createLeases(fleet, 'worker', hour)
  const done = async (job: Job, outcome: Outcome) => {
    await fleet.table.submit(job, 'waiting', options)
    const lease = await leases.claim([job.kind], ['x86_64-linux'])
    assert.ok(lease)
    await leases.end(lease, outcome, { usual: hour, expected: hour })
  }
  const part = { digest: digestOf('x'), size: 1 }
  const image = { manifests: { docker: part, oci: part }, config: part, layers: [] }
  await done({ kind: 'pin', request: one }, { world, at: 0 })
  for (const request of [one, two])
    await done({ kind: 'image', request, world }, { built: { key: 'k' as ImageKey, image } })
  const front = await fleet.front()
  await buildImage(front, one, options)

  const query = t.mock.method(pg.Client.prototype, 'query')
  await buildImage(front, two, options)
  // The meaning of the tag is looked up for all images together.
  const key = keyOfJob({ kind: 'image', request: two, world })
  const ofImage = query.mock.calls.filter((call) => JSON.stringify(call.arguments).includes(key))
  assert.equal(ofImage.length, 1)
  query.mock.resetCalls()
  assert.ok(front.known(one) && front.known(two))
  assert.equal(query.mock.callCount(), 0)
  await fleet.close()
  await server.dispose()
})
