import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createRateMeter, durationText, readingText } from './progress.ts'

const nothing = { kept: 0, fetched: 0, missing: 0, broken: 0, failed: 0 }

describe('a rate meter', () => {
  it('counts processed and failed narinfos', () => {
    const progress = createRateMeter(() => 0)(
      { kept: 10, fetched: 30, missing: 4, broken: 1, failed: 5 },
      100,
    )
    assert.deepEqual(progress, { done: 50, total: 100, unread: 10, rate: 0 })
  })

  it('measures over the last fifteen seconds', () => {
    let clock = 0
    const meter = createRateMeter(() => clock)
    clock = 1000
    assert.equal(meter({ ...nothing, kept: 1000 }, 2000).rate, 1000)
    let rate = 0
    for (let fetched = 1; fetched <= 300; fetched += 1) {
      clock += 100
      rate = meter({ ...nothing, kept: 1000, fetched }, 2000).rate
    }
    assert.equal(rate, 10)
  })
})

describe('progress for people', () => {
  it('shows progress, rate, and remaining time', () => {
    const facts = { done: 50, total: 200, rate: 2.5, unread: 3 }
    assert.equal(readingText(facts), '50 of 200 narinfos (25%), 3/s, 1m 00s left, 3 not read')
    assert.equal(readingText({ done: 0, total: 0, rate: 0, unread: 0 }), '0 of 0 narinfos (0%), 0/s')
  })

  it('has short durations', () => {
    const rows: [number, string][] = [
      [0.4, '0s'],
      [59.4, '59s'],
      [59.6, '1m 00s'],
      [187, '3m 07s'],
      [7500, '2h 05m'],
    ]
    for (const [seconds, text] of rows) assert.equal(durationText(seconds), text)
  })
})
