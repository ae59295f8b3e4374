import assert from 'node:assert/strict'
import { describe, it, mock } from 'node:test'
import { hasCode, type ErrorCode } from '../errors.ts'
import { createUsage } from './quotas.ts'

const alice = { id: 'alice', key: 'alice', shown: 'alice' }
const bob = { id: 'bob', key: 'bob', shown: '192.0.2.7' }
const failsWith = (code: ErrorCode, text: RegExp) => (error: unknown) => {
  assert.ok(hasCode(error, code), String(error))
  assert.match(`${error.message} (${error.hint})`, text)
  return true
}

describe('usage', () => {
  it('limits requests per second for each holder separately', async () => {
    const usage = createUsage({ requests: 2 })
    await usage.request(alice)
    await usage.request(alice)
    await assert.rejects(usage.request(alice), failsWith('RATE_LIMITED', /2 per second .* alice .*in 1 s/))
    await usage.request(bob)
  })

  it('limits builds per hour, reports long waits as errors, and resets after the hour', async () => {
    mock.timers.enable({ apis: ['Date', 'setTimeout'] })
    try {
      const usage = createUsage({ builds: 2 })
      await usage.build(alice)
      mock.timers.tick(3_000_000)
      const { giveBack } = await usage.build(alice)
      await assert.rejects(usage.build(alice), failsWith('QUOTA_EXCEEDED', /2 builds per hour .*10 minutes/))
      await giveBack()
      await giveBack()
      await usage.build(alice)
      mock.timers.tick(550_000)
      await assert.rejects(usage.build(alice), failsWith('RATE_LIMITED', /try again in 50 s/))
      assert.deepEqual(await usage.headers(alice), {
        'ratelimit-limit': '2;w=3600',
        'ratelimit-remaining': '0;w=3600',
        'docker-ratelimit-source': 'alice',
      })
      assert.equal((await usage.headers(bob))['ratelimit-remaining'], '2;w=3600')
      mock.timers.tick(50_001)
      const later = await usage.build(alice)
      // What is given back after the hour does not add to the next one.
      mock.timers.tick(3_600_001)
      await later.giveBack()
      assert.equal((await usage.headers(alice))['ratelimit-remaining'], '2;w=3600')
      await usage.build(alice)
      await usage.build(alice)
      await assert.rejects(usage.build(alice), failsWith('QUOTA_EXCEEDED', /2 builds per hour/))
    } finally {
      mock.timers.reset()
    }
  })

  it('limits concurrent builds', async () => {
    const usage = createUsage({ buildsAtOnce: 1, builds: 10 })
    const first = await usage.build(alice)
    await assert.rejects(usage.build(alice), failsWith('RATE_LIMITED', /1 builds .* are running/))
    await usage.build(bob)
    first.end()
    first.end()
    const second = await usage.build(alice)
    await assert.rejects(usage.build(alice), failsWith('RATE_LIMITED', /are running/))
    second.end()
    assert.equal((await usage.headers(alice))['ratelimit-remaining'], '8;w=3600')
  })

  it('limits bytes per day, and completes started transfers', async () => {
    const usage = createUsage({ bytes: 1000 })
    await usage.addBytes(alice, 999)
    await usage.checkBytes(alice)
    await usage.addBytes(alice, 5000)
    await assert.rejects(usage.checkBytes(alice), failsWith('QUOTA_EXCEEDED', /1000 bytes per day/))
    await usage.checkBytes(bob)
  })

  it('reports the usage of each client with any', async () => {
    const usage = createUsage({ builds: 5, buildsAtOnce: 2, bytes: 1000 })
    await usage.request(alice)
    const place = await usage.build(alice)
    await usage.build(alice)
    place.end()
    await usage.addBytes(bob, 4000)
    const quota = { builds: 5, buildsAtOnce: 2, bytes: 1000 }
    assert.deepEqual(await usage.uses(), [
      { shown: '192.0.2.7', quota, builds: 0, buildsAtOnce: 0, bytes: 1000 },
      { shown: 'alice', quota, builds: 2, buildsAtOnce: 1, bytes: 0 },
    ])
    const other = createUsage({ builds: 5 })
    const { giveBack, end } = await other.build(alice)
    await giveBack()
    end()
    assert.deepEqual(await other.uses(), [])
  })

  it('does not limit what has no limit', async () => {
    const usage = createUsage({})
    for (let n = 0; n < 1000; n++) await usage.request(alice)
    await usage.build(alice)
    await usage.checkBytes(alice)
    assert.deepEqual(await usage.headers(alice), {})
  })
})
