import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createEventBuffer } from './event-buffer.ts'
import type { BuildNews } from './event-rows.ts'

describe('the events of the builds of a worker', () => {
  it('are written once more at the end, and do not keep a worker running that has ended', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    const calls: (readonly BuildNews[])[] = []
    const buffer = createEventBuffer({
      append: (news) => {
        calls.push(news)
        return Promise.reject(new Error('the database is gone'))
      },
      forgetLines: () => Promise.resolve(),
    })
    const event = { type: 'nix', line: 'x' } as const
    buffer.add('one', event)
    await buffer.close()
    assert.deepEqual(calls, [[['one', event]]])
    // A job that did not end in time.
    buffer.add('one', event)
    await buffer.flush()
    t.mock.timers.tick(3_600_000)
    await new Promise(setImmediate)
    assert.equal(calls.length, 1)
  })
})
