import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { createQueue } from './queue.ts'

describe('a bounded queue', () => {
  it('limits running and waiting tasks, and accepts new ones when some have finished', async () => {
    const queue = createQueue({ running: 2, waiting: 3, what: 'fetching' })
    const end = Promise.withResolvers<void>()
    let [running, most] = [0, 0]
    const work = async () => {
      running += 1
      most = Math.max(most, running)
      await end.promise
      running -= 1
    }
    const taken = Array.from({ length: 5 }, () => queue(work))
    for (let count = 0; count < 100; count += 1) {
      await assert.rejects(queue(work), (error) => hasCode(error, 'OVERLOADED'))
    }
    end.resolve()
    await Promise.all(taken)
    assert.equal(most, 2)
    await queue(work)
  })
})
