import assert from 'node:assert/strict'
import { it } from 'node:test'
import { NixeryError, type ErrorCode } from '../errors.ts'
import { memoryOf } from './failure-memory.ts'

it('failures are remembered as long as they are valid, and until a client with a retry response returns', () => {
  const rows: readonly (readonly [code: ErrorCode, expected: number, otherwise: number])[] = [
    ['CANCELLED', 0, 0],
    ['OVERLOADED', 0, 0],
    ['STORE_UNAVAILABLE', 10_000, 0],
    ['STORE_FULL', 10_000, 0],
    ['NIX_UNAVAILABLE', 10_000, 0],
    ['SOURCE_UNREACHABLE', 120_000, 0],
    ['BUILD_FAILED', 120_000, 10_000],
    ['PACKAGE_UNKNOWN', 120_000, 120_000],
  ]
  for (const [code, expected, otherwise] of rows) {
    const error = new NixeryError(code, 'x')
    assert.deepEqual([code, memoryOf(error, true), memoryOf(error, false)], [code, expected, otherwise])
  }
})
