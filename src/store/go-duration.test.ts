import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseGoDuration } from './go-duration.ts'

describe('a Go duration', () => {
  const rows: [text: string, seconds: number | undefined][] = [
    ['5m', 300],
    ['0', 0],
    ['1h30m', 5400],
    ['1.5s', 1.5],
    ['.5s', 0.5],
    ['1.s', 1],
    ['300ms', 0.3],
    ['100us100µs', 0.0002],
    ['+5m', 300],
    ['-5m', -300],
    ['', undefined],
    ['5', undefined],
    ['m', undefined],
    ['.s', undefined],
    ['5 m', undefined],
    ['5d', undefined],
    ['5m ', undefined],
    ['1e3s', undefined],
    ['--5m', undefined],
  ]
  for (const [text, seconds] of rows) {
    it(`${JSON.stringify(text)} is ${seconds === undefined ? 'invalid' : `${seconds} s`}`, () => {
      assert.equal(parseGoDuration(text), seconds)
    })
  }

  it('is the sum of its parts', () => {
    const count = fc.nat({ max: 10_000 })
    fc.assert(
      fc.property(count, count, count, (hours, minutes, seconds) => {
        assert.equal(
          parseGoDuration(`${hours}h${minutes}m${seconds}s`),
          hours * 3600 + minutes * 60 + seconds,
        )
      }),
    )
  })
})
