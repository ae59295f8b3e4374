import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError } from '../errors.ts'
import { plainTexts } from '../text/public.ts'
import { describeSource } from './describe.ts'

describe('the source', () => {
  it('is described immediately, and its revision is updated once per minute', async () => {
    let [time, calls, revision] = [0, 0, Promise.resolve('one')]
    const source = { description: 'git repository https://a:hunter2@b' }
    const tell = describeSource(
      source,
      () => ((calls += 1), revision),
      plainTexts,
      () => time,
    )
    assert.deepEqual(tell(), { source: 'git repository https://…@b', revision: undefined })
    tell()
    await sleep(1)
    assert.equal(tell().revision, 'one')
    assert.equal(calls, 1)
    time = 60_000
    revision = Promise.reject(new NixeryError('SOURCE_UNREACHABLE', 'gone'))
    tell()
    await sleep(1)
    assert.equal(tell().revision, 'one', 'the last revision remains')
    assert.equal(calls, 2)
  })
})
