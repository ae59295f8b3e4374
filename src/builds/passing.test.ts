import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError, type ErrorCode } from '../errors.ts'
import { createPassingFailures } from './passing.ts'

const failing = (code: ErrorCode) => () => Promise.reject(new NixeryError(code, `failed with ${code}`))
const answer = () => Promise.resolve('answer')
const hour = { usual: 3600, costly: 3600 }

describe('passing failures', () => {
  it('are remembered only for the names that took too much', async () => {
    for (const code of ['EVALUATION_TIMEOUT', 'BUILD_FAILED'] as const) {
      const passing = createPassingFailures(hour)
      await assert.rejects(passing.run('set', 'slow', failing(code)), { code })
      await assert.rejects(passing.run('set', 'slow', answer), { code })
      assert.equal(await passing.run('set', 'quick', answer), 'answer')
      assert.equal(await passing.run('other', 'slow', answer), 'answer')
    }
  })

  it('are remembered for a set as a whole', async () => {
    const passing = createPassingFailures(hour)
    await assert.rejects(passing.run('set', 'a', failing('SOURCE_INVALID')), { code: 'SOURCE_INVALID' })
    await assert.rejects(passing.run('set', 'b', answer), { code: 'SOURCE_INVALID' })
    assert.equal(await passing.run('other', 'a', answer), 'answer')
  })

  it('are not remembered if they have no cause in the package', async () => {
    const passing = createPassingFailures(hour)
    for (const code of ['CANCELLED', 'NIX_UNAVAILABLE', 'OVERLOADED'] as const) {
      await assert.rejects(passing.run('set', 'a', failing(code)), { code })
      assert.equal(await passing.run('set', 'a', answer), 'answer')
    }
  })

  it('are forgotten', async () => {
    const passing = createPassingFailures({ usual: 0.01, costly: 0.01 })
    const resolution = { status: 'invalid', reason: 'network' } as const
    passing.note('key', resolution)
    await assert.rejects(passing.run('set', 'a', failing('EVALUATION_TIMEOUT')))
    while (passing.resolution('key')) await sleep(5)
    for (;;) {
      const found = await passing.run('set', 'a', answer).catch(() => sleep(5, undefined))
      if (found === 'answer') break
    }
  })

  it('of a name are stored under its key', () => {
    const passing = createPassingFailures(hour)
    const resolution = { status: 'invalid', reason: 'network' } as const
    passing.note('key', resolution)
    assert.deepEqual(passing.resolution('key'), resolution)
    assert.equal(passing.resolution('other'), undefined)
  })
})
