import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { stepsBetween } from './steps.ts'

/** The definition, computed for all cells. */
function plainSteps(a: string, b: string): number {
  const cost = (row: number, column: number): number => table[row]?.[column] ?? Infinity
  const table: number[][] = []
  for (let row = 0; row <= a.length; row += 1) {
    table.push([])
    for (let column = 0; column <= b.length; column += 1) {
      const swapped = a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]
      table[row]?.push(
        row === 0 || column === 0
          ? row + column
          : Math.min(
              cost(row - 1, column) + 1,
              cost(row, column - 1) + 1,
              cost(row - 1, column - 1) + (a[row - 1] === b[column - 1] ? 0 : 1),
              row > 1 && column > 1 && swapped ? cost(row - 2, column - 2) + 1 : Infinity,
            ),
      )
    }
  }
  return cost(a.length, b.length)
}

describe('stepsBetween', () => {
  const rows: [from: string, to: string, most: number, count: number | undefined, isSwap?: boolean][] = [
    ['git', 'git', 1, 0],
    ['gti', 'git', 1, 1, true],
    ['htpo', 'htop', 1, 1, true],
    ['helo', 'hello', 1, 1],
    ['hellow', 'hello', 1, 1],
    ['jp', 'jq', 1, 1],
    ['ca', 'abc', 3, 3], // 2 by Damerau's own distance
    ['kitten', 'sitting', 3, 3],
    ['kitten', 'sitting', 2, undefined],
    ['', 'ab', 2, 2],
  ]
  for (const [from, to, most, count, isSwap = false] of rows) {
    it(`counts ${count ?? `more than ${most}`} from "${from}" to "${to}"`, () => {
      assert.deepEqual(stepsBetween(from, to, most), count === undefined ? undefined : { count, isSwap })
    })
  }

  it('matches the definition up to the limit', () => {
    const text = fc.stringMatching(/^[abc]{0,9}$/)
    fc.assert(
      fc.property(text, text, fc.integer({ min: 0, max: 5 }), (a, b, most) => {
        const plain = plainSteps(a, b)
        const found = stepsBetween(a, b, most)
        assert.equal(found?.count, plain <= most ? plain : undefined)
        assert.deepEqual(stepsBetween(b, a, most), found)
      }),
      { numRuns: 2000 },
    )
  })
})
