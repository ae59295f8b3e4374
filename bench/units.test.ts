import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Unit } from './case.ts'
import { format } from './units.ts'

describe('a figure', () => {
  const rows: [value: number, unit: Unit, text: string][] = [
    [0, 'ms', '0 ms'],
    [0.0412, 'ms', '0.041 ms'],
    [4.125, 'ms', '4.13 ms'],
    [41.25, 'ms', '41.3 ms'],
    [412.5, 'ms', '413 ms'],
    [4125, 'ms', '4.13 s'],
    [999, 'bytes', '999 B'],
    [1500, 'bytes', '1.50 kB'],
    [-1.5e6, 'bytes', '-1.50 MB'],
    [1.234e9, 'bytes/s', '1.23 GB/s'],
    [15_123.4, 'requests/s', '15,123 /s'],
    [50, 'count', '50'],
    [2.5, 'count', '2.5'],
    [1.0833, 'ratio', '1.083 ×'],
  ]
  for (const [value, unit, text] of rows) {
    it(`of ${value} in ${unit} is ${text}`, () => assert.equal(format(value, unit), text))
  }
})
