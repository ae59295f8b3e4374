import assert from 'node:assert/strict'
import { it } from 'node:test'
import { bytesText, counted } from './amounts.ts'

it('writes sizes for people', () => {
  const rows: [bytes: number, text: string][] = [
    [0, '0 kB'],
    [1, '1 kB'],
    [12_000, '12 kB'],
    [999_001, '1.0 MB'],
    [54_321_000, '54.3 MB'],
    [999_960_000, '1.00 GB'],
    [1_250_000_000, '1.25 GB'],
  ]
  for (const [bytes, text] of rows) assert.equal(bytesText(bytes), text)
})

it('writes counts for people', () => {
  assert.deepEqual(
    [0, 1, 2].map((count) => counted(count, 'layer')),
    ['0 layers', '1 layer', '2 layers'],
  )
})
