import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { failsWith, updatesOf } from '../builds/builds-conformance.ts'
import type { ImageKey } from '../catalog/catalog.ts'
import { buildsFor } from '../http/caused-builds.ts'
import type { RequestQuotas } from '../http/quotas.ts'
import type { HttpRequest } from '../http/request.ts'
import { digestOf } from '../image/digest.ts'
import { parseImageReference } from '../image/name.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { createUsage } from '../quotas/quotas.ts'
import { until } from '../../test/support/until.ts'
import type { Job, Outcome } from './jobs.ts'
import { createLeases, type Lease } from './leases.ts'
import { openTestFleet } from './testing.ts'

const hour = 3_600_000
const image = parseImageReference('hello')
const part = { digest: digestOf('x'), size: 1 }
const built: Outcome = {
  built: {
    key: 'k' as ImageKey,
    image: { manifests: { docker: part, oci: part }, config: part, layers: [] },
  },
}
const failure = { code: 'CANCELLED', message: 'it has changed' } as const

describe('a build that ends because the package set has changed', { skip: noPostgres }, () => {
  let server: TestPostgres
  before(async () => {
    server = await startPostgres()
  })
  after(() => server.dispose())

  for (const [what, works] of [
    ['counts against the quota once, with the build that follows', true],
    ['does not count if the image already exists', false],
  ] as const) {
    it(what, async () => {
      const fleet = await openTestFleet(await server.database(), { warn: assert.fail })
      const leases = createLeases(fleet, 'worker', hour)
      const claim = async (kind: Job['kind']): Promise<Lease> => {
        let lease: Lease | undefined
        await until(async () => (lease = await leases.claim([kind], ['x86_64-linux'])) !== undefined, kind)
        assert.ok(lease)
        return lease
      }
      const keep = { usual: hour, expected: hour }
      await fleet.table.submit({ kind: 'pin', request: image }, 'waiting', { requestId: 'one' })
      await leases.end(await claim('pin'), { world: 'first', at: 0 }, keep)

      const front = await fleet.front()
      const usage = createUsage({ builds: 1 })
      const holder = { id: 'alice', key: 'alice', shown: 'alice' }
      let counted = 0
      const quotas = {
        async build() {
          counted += 1
          const place = await usage.build(holder)
          return { ...place, end: () => (counted -= 1) }
        },
      } as unknown as RequestQuotas
      const mine = buildsFor({ builds: front, quotas }, { id: 'one' } as HttpRequest)
      const { id } = await mine.submit(image, { requestId: 'one' })
      const updates = updatesOf(front, id)

      await leases.end(
        await claim('image'),
        { moved: 'second' },
        { usual: 0, expected: 0 },
        {
          type: 'failed',
          failure,
          ms: 1,
        },
      )
      const lease = await claim('image')
      assert.ok(lease.job.kind === 'image' && lease.job.world === 'second')
      assert.equal(counted, 1)
      if (works) await leases.append([[lease.id, { type: 'evaluating', names: 1 }]])
      await leases.end(lease, built, keep, { type: 'finished', digest: part.digest, ms: 1 })
      await mine.result(id)
      await until(() => counted === 0, 'the end of the build was noticed')

      const types = (await updates).map(({ type }) => type)
      const second = works
        ? ['started', 'joined', 'evaluating', 'finished']
        : ['started', 'joined', 'finished']
      assert.deepEqual(types, ['started', 'joined', 'failed', ...second])
      if (works) await failsWith('QUOTA_EXCEEDED', usage.build(holder))
      else await usage.build(holder)
      await fleet.close()
    })
  }
})
