import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { compare, median, summarise } from './statistics.ts'

const values = fc.array(fc.double({ min: -1e9, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 40 })

describe('the median', () => {
  it('is the middle value, or the mean of the middle two', () => {
    assert.equal(median([3]), 3)
    assert.equal(median([9, 1, 5]), 5)
    assert.equal(median([10, 2, 4, 1]), 3)
    assert.throws(() => median([]), RangeError)
  })

  it('has as many values on either side', () => {
    fc.assert(
      fc.property(values, (all) => {
        const middle = median(all)
        const below = all.filter((value) => value < middle).length
        const above = all.filter((value) => value > middle).length
        assert.ok(below <= all.length / 2 && above <= all.length / 2)
      }),
    )
  })
})

describe('a summary', () => {
  it('has the deviation from the median', () => {
    assert.deepEqual(summarise([10, 12, 11, 50, 11]), { runs: 5, median: 11, min: 10, max: 50, mad: 1 })
  })

  it('does not depend on the order of the runs', () => {
    fc.assert(fc.property(values, (all) => assert.deepEqual(summarise(all.toReversed()), summarise(all))))
  })
})

describe('a comparison', () => {
  const of = (...runs: number[]) => summarise(runs)

  it('reports a change that is larger than the noise of both rounds', () => {
    assert.deepEqual(compare(of(100, 101, 99), of(120, 121, 119)), { part: 0.2, outsideNoise: true })
    assert.equal(compare(of(100, 101, 99), of(80, 81, 79)).outsideNoise, true)
  })

  it('reports a difference within the noise as none', () => {
    assert.equal(compare(of(100, 130, 80), of(120, 90, 150)).outsideNoise, false)
    assert.equal(compare(of(100, 100, 100), of(102, 102, 102)).outsideNoise, false)
  })

  it('needs a larger change if there is a single run', () => {
    assert.equal(compare(of(100), of(110)).outsideNoise, false)
    assert.equal(compare(of(100), of(130)).outsideNoise, true)
  })

  it('reports every difference between counted values', () => {
    assert.deepEqual(compare(of(100), of(101), true), { part: 0.01, outsideNoise: true })
    assert.deepEqual(compare(of(0), of(0), true), { part: 0, outsideNoise: false })
    assert.deepEqual(compare(of(0), of(2), true), { part: Infinity, outsideNoise: true })
  })

  it('of a round with itself is none', () => {
    fc.assert(
      fc.property(values, fc.boolean(), (all, exact) => {
        assert.deepEqual(compare(summarise(all), summarise(all), exact), { part: 0, outsideNoise: false })
      }),
    )
  })
})
