import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hasCode } from '../errors.ts'
import { maxRanges, parseRanges } from './range.ts'

type Expected = readonly (readonly [start: number, end: number])[] | 'whole' | 'behind'

const rangesOf = (header: string | undefined, size: number): Expected => {
  try {
    return parseRanges(header, size)?.map(({ start, end }) => [start, end] as const) ?? 'whole'
  } catch (error) {
    assert.ok(hasCode(error, 'RANGE_INVALID'))
    assert.deepEqual(error.detail, { size })
    return 'behind'
  }
}

describe('parseRanges', () => {
  const rows: [header: string | undefined, expected: Expected][] = [
    [undefined, 'whole'],
    ['', 'whole'],
    ['bytes', 'whole'],
    ['bytes=', 'whole'],
    ['bytes=-', 'whole'],
    ['bytes=,', 'whole'],
    ['bytes=a-b', 'whole'],
    ['bytes=1', 'whole'],
    ['bytes=1-2-3', 'whole'],
    ['bytes=5-4', 'behind'],
    ['bytes=500-0', 'behind'],
    ['bytes=0-1,5-4', 'behind'],
    ['bytes=5-4,x', 'whole'],
    ['bytes=0x1-0x2', 'whole'],
    ['bytes=+1-2', 'whole'],
    ['bytes=1.5-2', 'whole'],
    ['lines=0-1', 'whole'],
    ['xbytes=0-1', 'whole'],
    ['bytes=0-0', [[0, 1]]],
    ['bytes=0-99', [[0, 100]]],
    ['bytes=0-100', [[0, 100]]],
    ['bytes=99-', [[99, 100]]],
    ['bytes=-1', [[99, 100]]],
    ['bytes=-100', [[0, 100]]],
    ['bytes=-1000', [[0, 100]]],
    ['bytes=0-99999999999999999999999999', [[0, 100]]],
    ['BYTES=0-1', [[0, 2]]],
    ['bytes= 0-1 ', [[0, 2]]],
    ['bytes=100-', 'behind'],
    ['bytes=100-200', 'behind'],
    ['bytes=99999999999999999999999999-', 'behind'],
    ['bytes=-0', 'behind'],
    ['bytes=-0,100-', 'behind'],
    ['bytes=0-1,100-', [[0, 2]]],
    [
      'bytes=0-1,,4-5,',
      [
        [0, 2],
        [4, 6],
      ],
    ],
    [
      'bytes=4-5 , 0-1',
      [
        [4, 6],
        [0, 2],
      ],
    ],
    [
      'bytes=0-1,2-3',
      [
        [0, 2],
        [2, 4],
      ],
    ],
    ['bytes=0-5,3-9', [[0, 10]]],
    ['bytes=0-1,8-9,1-8', [[0, 10]]],
    ['bytes=0-,0-,0-', [[0, 100]]],
    [
      'bytes=50-59,0-9,55-64',
      [
        [50, 65],
        [0, 10],
      ],
    ],
  ]
  for (const [header, expected] of rows) {
    it(`reads ${header ?? 'no header'}`, () => assert.deepEqual(rangesOf(header, 100), expected))
  }

  it('ignores ranges of an empty blob that Content-Range cannot express, and refuses the others', () => {
    assert.equal(rangesOf('bytes=-5', 0), 'whole')
    assert.equal(rangesOf('bytes=0-', 0), 'behind')
    assert.equal(rangesOf('bytes=-0', 0), 'behind')
  })

  it('ignores more ranges than are allowed', () => {
    const ranges = (count: number) =>
      `bytes=${Array.from({ length: count }, (_, i) => `${3 * i}-${3 * i}`).join()}`
    assert.equal(rangesOf(ranges(maxRanges), 1000).length, maxRanges)
    assert.equal(rangesOf(ranges(maxRanges + 1), 1000), 'whole')
  })

  it('returns exactly the requested bytes, each once', () => {
    const spec = fc.tuple(fc.nat(40), fc.nat(40)).map(([first, more]) => ({ first, last: first + more }))
    fc.assert(
      fc.property(
        fc.array(spec, { minLength: 1, maxLength: maxRanges }),
        fc.integer({ min: 1, max: 60 }),
        (specs, size) => {
          const wanted = new Set<number>()
          for (const { first, last } of specs) {
            for (let at = first; at <= last && at < size; at += 1) wanted.add(at)
          }
          const ranges = rangesOf(`bytes=${specs.map(({ first, last }) => `${first}-${last}`).join()}`, size)
          if (typeof ranges === 'string') return assert.equal(ranges === 'behind' && wanted.size, 0)
          const given = ranges.flatMap(([start, end]) =>
            Array.from({ length: end - start }, (_, i) => start + i),
          )
          assert.equal(new Set(given).size, given.length)
          assert.deepEqual(new Set(given), wanted)
        },
      ),
    )
  })

  it('never fails except by refusing, and never returns bytes beyond the end', () => {
    const text = fc.oneof(fc.string(), fc.stringMatching(/^bytes=[\d,\- ]{0,60}$/))
    fc.assert(
      fc.property(text, fc.nat(1000), (header, size) => {
        const ranges = rangesOf(header, size)
        if (typeof ranges === 'string') return
        for (const [start, end] of ranges) assert.ok(start >= 0 && start < end && end <= size)
      }),
      { numRuns: 1000 },
    )
  })
})
