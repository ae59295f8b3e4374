import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode, NixeryError, type ErrorCode } from '../errors.ts'
import { createPausing } from './pause.ts'

function bench(code: ErrorCode) {
  let [time, tried] = [0, 0]
  const pausing = createPausing(() => time)
  const fail = (key: string) =>
    assert.rejects(
      pausing(key, () => {
        tried += 1
        return Promise.reject(new NixeryError(code, 'no'))
      }),
      (error) => hasCode(error, code),
    )
  return { fail, pausing, tried: () => tried, pass: (milliseconds: number) => (time += milliseconds) }
}

describe('work on a source that cannot be reached', () => {
  it('is not retried for some seconds, for any number of callers', async () => {
    const { fail, pausing, tried, pass } = bench('SOURCE_UNREACHABLE')
    for (let count = 0; count < 10; count += 1) await fail('a')
    assert.equal(tried(), 1)
    await fail('b')
    assert.equal(tried(), 2)
    pass(5_000)
    assert.equal(await pausing('a', () => Promise.resolve('there')), 'there')
  })

  it('is retried immediately after any other failure', async () => {
    const { fail, tried } = bench('OVERLOADED')
    await fail('a')
    await fail('a')
    assert.equal(tried(), 2)
  })
})
