import assert from 'node:assert/strict'
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { narHash } from './nar.ts'

test('the hash that nix-hash prints', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'nar-'))
  try {
    const tree = join(folder, 'tree')
    await mkdir(join(tree, 'B'), { recursive: true })
    await writeFile(join(tree, 'a'), 'hello\n')
    await writeFile(join(tree, 'B', 'run'), '#!/bin/sh\n')
    await chmod(join(tree, 'B', 'run'), 0o755)
    await symlink('a', join(tree, 'link'))
    assert.equal(await narHash(tree), '2f7fef135e72e4c316042a466c8ce46cacdf8811006962ad5599157d19245e24')
  } finally {
    await rm(folder, { recursive: true })
  }
})
