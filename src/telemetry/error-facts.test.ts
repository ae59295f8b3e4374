import assert from 'node:assert/strict'
import { it } from 'node:test'
import { NixeryError, type ErrorCode } from '../errors.ts'
import { isOrdinary } from './error-facts.ts'

it('logs failures that an operator can fix as errors, and misspelled names not', () => {
  const misspelled: ErrorCode[] = ['NAME_INVALID', 'PACKAGE_UNKNOWN', 'RECIPE_UNKNOWN', 'MANIFEST_UNKNOWN']
  for (const code of misspelled) assert.ok(isOrdinary(new NixeryError(code, 'no')), code)
  for (const code of ['RECIPE_INVALID', 'STORE_FULL', 'SETUP_FAILED'] satisfies ErrorCode[])
    assert.ok(!isOrdinary(new NixeryError(code, 'no')), code)
  assert.ok(!isOrdinary(new TypeError('a bug')))
})
