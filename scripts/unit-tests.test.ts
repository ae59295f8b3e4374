import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { it } from 'node:test'
import { needMore, testsBeside } from './unit-tests.ts'

// Signs of a test that starts Nix or PostgreSQL, or mounts a file system without checking whether it may.
const signs = /\b(openBench|environmentOfNix|noPostgres)\b|execa\('(nix|nix-[a-z]+|mkfs\.ext4)'/

it('tests that need Nix, PostgreSQL or root are listed', () => {
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
