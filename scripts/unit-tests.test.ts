import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { it } from 'node:test'
import { needMore, slow, unitTests } from './unit-tests.ts'

it('unit tests are selected by what they need', () => {
  const selected = unitTests()
  assert.ok(selected.includes('src/image/name.test.ts'))
  for (const file of ['src/nix/lookup.test.ts', 'src/postgres/postgres.test.ts']) {
    assert.ok(existsSync(file) && !selected.includes(file), file)
  }
  assert.deepEqual(
    [...slow].filter((file) => !selected.includes(file)),
    [],
  )
  assert.deepEqual(
    [...needMore].filter((file) => !existsSync(file)),
    [],
  )
})
