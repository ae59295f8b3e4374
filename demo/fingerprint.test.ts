import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fingerprint, fingerprintGenerator } from './fingerprint.ts'

const files = [
  { name: 'a.ts', content: 'one' },
  { name: 'b.ts', content: 'two' },
]

test('a fingerprint depends on names and contents, and not on their order', () => {
  assert.equal(fingerprint(files), fingerprint(files.toReversed()))
  assert.notEqual(fingerprint(files), fingerprint([{ name: 'a.ts', content: 'onetwo' }]))
  assert.notEqual(fingerprint(files), fingerprint(files.map((file) => ({ ...file, name: `x${file.name}` }))))
})

test('the generator has one for each architecture that builds, always the same', async () => {
  assert.equal(await fingerprintGenerator('amd64'), await fingerprintGenerator('amd64'))
  assert.notEqual(await fingerprintGenerator('amd64'), await fingerprintGenerator('arm64'))
})
