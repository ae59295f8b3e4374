import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { needMore, testsBeside } from './unit-tests.ts'

// What a test that starts Nix, or mounts a file system without looking whether it may, has in it.
const signs = /\b(openBench|environmentOfNix)\b|execa\('(nix|nix-[a-z]+|mkfs\.ext4)'/

it('tests that need Nix or root are listed, and are there', () => {
  const files = testsBeside().filter((file) => file !== 'scripts/unit-tests.test.ts')
  assert.deepEqual(
    files.filter((file) => signs.test(readFileSync(file, 'utf8')) && !needMore.has(file)),
    [],
  )
  assert.deepEqual(
    [...needMore].filter((file) => !files.includes(file)),
    [],
  )
})
