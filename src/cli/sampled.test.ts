import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseInterval, sampled } from './sampled.ts'

describe('sampled', () => {
  const commits = [100, 99, 90, 80, 79, 60, 59].map((at) => ({ at }))
  for (const [every, chosen] of [
    [0, [100, 99, 90, 80, 79, 60, 59]],
    [10, [100, 90, 80, 60, 59]],
    [1000, [100, 59]],
  ] as const) {
    it(`takes one of each ${every} seconds, with the newest and the oldest`, () => {
      assert.deepEqual(
        sampled(commits, every).map(({ at }) => at),
        chosen,
      )
    })
  }
  it('selects nothing from nothing', () => assert.deepEqual(sampled([], 5), []))
})

describe('parseInterval', () => {
  for (const [text, seconds] of [
    ['12h', 43_200],
    ['7d', 604_800],
    ['2w', 1_209_600],
    ['0', 0],
    ['7', undefined],
    ['d', undefined],
    ['-1d', undefined],
    ['1d ', undefined],
  ] as const) {
    it(`reads ${text}`, () => assert.equal(parseInterval(text), seconds))
  }
})
