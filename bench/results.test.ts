import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { asFloor, atLeast, atLeastTimes, atMost, atMostTimes, type Row } from './case.ts'
import { timesFloor, verdictOf } from './results.ts'

const row = (values: number[], more: Partial<Row> = {}): Row => ({ name: 'x', unit: 'ms', values, ...more })
const floors = (...values: number[]) => [{ name: 'floor', values }]

describe('the target of a row', () => {
  const rows: [reached: boolean | undefined, text: string | undefined, row: Row][] = [
    [undefined, undefined, row([1])],
    [true, '≤ 20.0 ms', row([19, 20, 90], { target: atMost(20) })],
    [false, '≤ 20.0 ms', row([1, 21, 22], { target: atMost(20) })],
    [true, '≥ 15,000 /s', row([15_000], { unit: 'requests/s', target: atLeast(15_000) })],
    [false, '≥ 15,000 /s', row([14_999], { unit: 'requests/s', target: atLeast(15_000) })],
    [true, '≥ 0.8 ×', row([80], { target: atLeastTimes(0.8), floors: floors(90, 100, 110) })],
    [false, '≤ 1.1 ×', row([120], { target: atMostTimes(1.1), floors: floors(100) })],
    [true, 'as floor', row([100, 101, 102], { target: asFloor, floors: floors(101, 102, 100) })],
    [false, 'as floor', row([200, 201, 202], { target: asFloor, floors: floors(101, 102, 100) })],
    [true, 'as floor', row([50, 51, 52], { target: asFloor, floors: floors(101, 102, 100) })],
    [
      false,
      'as floor',
      row([50, 51, 52], { unit: 'requests/s', target: asFloor, floors: floors(101, 102, 100) }),
    ],
  ]
  for (const [reached, text, one] of rows) {
    it(`is ${text ?? 'none'} for ${one.values.join(', ')} ${one.unit}`, () => {
      const verdict = verdictOf(one)
      assert.deepEqual([verdict?.reached, verdict?.text], [reached, text])
    })
  }

  it('is relative to the first floor', () => {
    assert.equal(timesFloor(row([30], { floors: [...floors(10, 20), ...floors(1)] })), 2)
    assert.equal(timesFloor(row([30])), undefined)
  })
})
