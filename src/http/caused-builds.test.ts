import { it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { failsWith } from '../builds/builds-conformance.ts'
import { openFakeBuilds } from '../builds/fake-builds-testing.ts'
import { parseImageReference } from '../image/name.ts'
import { createUsage } from '../quotas/quotas.ts'
import { buildsFor } from './caused-builds.ts'
import type { RequestQuotas } from './quotas.ts'
import type { HttpRequest } from './request.ts'

it('a build that is admitted after its request has ended takes no place for ever', async () => {
  const holder = { id: 'alice', key: 'alice', shown: 'alice' }
  const usage = createUsage({ buildsAtOnce: 1 })
  const slow = Promise.withResolvers<void>()
  const { builds, end } = openFakeBuilds()
  const quotas = {
    async build() {
      await slow.promise // such as a database that responds slowly
      return usage.build(holder)
    },
  } as unknown as RequestQuotas
  const request = { id: 'one' } as HttpRequest
  const mine = buildsFor({ builds, quotas }, request)
  const { id } = await mine.submit(parseImageReference('hello'), { requestId: 'one', limit: 1 })
  await failsWith('STILL_BUILDING', mine.result(id))
  slow.resolve()
  while (builds.running === 0) await sleep(5)
  end()
  while (builds.running > 0) await sleep(5)
  const next = await usage.build(holder)
  next.end()
})
