import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseImageReference } from '../image/name.ts'
import { describeBuilds, failsWith } from './builds-conformance.ts'
import { openFakeBuilds } from './fake-builds-testing.ts'

describeBuilds('builds in this process', async () => {
  const fake = openFakeBuilds()
  return { builds: fake.builds, fake, close: async () => {} }
})

describe('builds of a group', () => {
  it('have one revision, and so one build', async () => {
    const { builds, end, began, started, pins } = openFakeBuilds({ changing: true })
    const hello = parseImageReference('hello')
    const grouped = { requestId: 'test', group: { id: 'g', size: 2 } }
    const [one, two] = [await builds.submit(hello, grouped), await builds.submit(hello, grouped)]
    await began
    assert.deepEqual([started, pins.length, builds.running], [['hello'], 2, 1])
    await builds.cancel(one.id)
    await failsWith('CANCELLED', builds.result(one.id))
    assert.equal(builds.running, 1, 'the other request still needs it')
    end()
    await failsWith('BUILD_FAILED', builds.result(two.id))
  })
})
