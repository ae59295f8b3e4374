import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode, NixeryError } from '../errors.ts'
import { createPins } from './pins.ts'

const unreachable = () => new NixeryError('SOURCE_UNREACHABLE', 'no answer')

function pinsOver(
  answers: (string | Error)[],
  ttl: number,
  options: { holds?: (value: { value: string }) => boolean } = {},
) {
  let [calls, time] = [0, 0]
  const notes: string[] = []
  const pin = createPins({
    ttl,
    note: (line) => notes.push(line),
    now: () => time,
    ...options,
    async load(key) {
      const answer = answers[Math.min(calls, answers.length - 1)]
      calls += 1
      await Promise.resolve()
      if (answer instanceof Error) throw answer
      return { value: `${key} ${answer}` }
    },
  })
  return { pin, notes, calls: () => calls, pass: (milliseconds: number) => (time += milliseconds) }
}

describe('a pin', () => {
  it('is requested once for concurrent callers, and cached until it expires', async () => {
    const { pin, calls, pass } = pinsOver(['a', 'b'], 50)
    const all = await Promise.all([pin('x'), pin('x'), pin('x')])
    assert.deepEqual(all, [{ value: 'x a' }, { value: 'x a' }, { value: 'x a' }])
    assert.deepEqual(await pin('x'), { value: 'x a' })
    assert.equal(calls(), 1)
    pass(50)
    assert.deepEqual(await pin('x'), { value: 'x b' })
    assert.deepEqual(await pin('y'), { value: 'y b' })
    assert.equal(calls(), 3)
  })

  it('stays in use when its source cannot be reached, with a warning', async () => {
    const { pin, notes, pass } = pinsOver(['a', unreachable()], 1)
    await pin('x')
    pass(5)
    assert.deepEqual(await pin('x'), { value: 'x a' })
    assert.match(notes.join(), /last good revision/)
  })

  it('that was never loaded fails, and is requested again after a pause', async () => {
    const { pin, calls, pass } = pinsOver([unreachable(), 'b'], 60_000)
    for (let count = 0; count < 3; count += 1) {
      await assert.rejects(pin('x'), (error) => hasCode(error, 'SOURCE_UNREACHABLE'))
    }
    assert.equal(calls(), 1)
    pass(5_000)
    assert.deepEqual(await pin('x'), { value: 'x b' })
  })

  it('that is no longer usable is loaded again', async () => {
    let gone = ''
    const { pin } = pinsOver(['a', 'b', unreachable()], 60_000, { holds: ({ value }) => value !== gone })
    assert.deepEqual(await pin('x'), { value: 'x a' })
    gone = 'x a'
    assert.deepEqual(await pin('x'), { value: 'x b' })
    gone = 'x b'
    await assert.rejects(pin('x'), (error) => hasCode(error, 'SOURCE_UNREACHABLE'))
  })

  it('does not outlive its target', async () => {
    const { pin, pass } = pinsOver(['a', new NixeryError('MANIFEST_UNKNOWN', 'the branch is gone')], 1)
    await pin('x')
    pass(5)
    await assert.rejects(pin('x'), (error) => hasCode(error, 'MANIFEST_UNKNOWN'))
  })

  it('is not requested again soon if it does not exist', async () => {
    const { pin, calls } = pinsOver([new NixeryError('MANIFEST_UNKNOWN', 'no such branch')], 60_000)
    for (let count = 0; count < 3; count += 1) {
      await assert.rejects(pin('x'), (error) => hasCode(error, 'MANIFEST_UNKNOWN'))
    }
    assert.equal(calls(), 1)
  })
})
