import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { nameOf, writeTree } from './tree.ts'

it('a generated tree has the requested number of entries and names', async () => {
  const parent = await mkdtemp(join(tmpdir(), 'nixery-tree-'))
  const tree = join(parent, 'tree')
  await writeTree(tree, { names: 50, entries: 300 })
  const entries = await readdir(tree, { recursive: true })
  assert.ok(entries.length >= 300 && entries.length < 310, `${entries.length}`)
  assert.equal(entries.filter((path) => path.endsWith('package.nix')).length, 50)
  assert.equal(new Set(Array.from({ length: 27_000 }, (_, index) => nameOf(index))).size, 27_000)
  await rm(parent, { recursive: true })
})
