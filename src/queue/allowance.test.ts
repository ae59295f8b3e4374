import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createAllowance } from './allowance.ts'

describe('an allowance', () => {
  it('can be used up, and comes back over time', () => {
    let time = 0
    const allowance = createAllowance(3, 60, () => time)
    const taken = (count: number) =>
      Array.from({ length: count }, () => allowance.take()).filter(Boolean).length
    assert.equal(taken(5), 3)
    time += 30_000
    assert.equal(taken(1), 0)
    time += 30_000
    assert.equal(taken(5), 1)
    time += 24 * 3_600_000
    assert.equal(taken(5), 3)
  })
})
