import assert from 'node:assert/strict'
import { mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { execa } from 'execa'
import { pathSource } from './path.ts'

it('uses a store path as its own revision', async () => {
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'nixery-path-')))
  try {
    await writeFile(join(folder, 'default.nix'), '{ system }: { }')
    const { stdout: path } = await execa('nix-store', ['--add', folder])
    const pinned = await pathSource(path, { fresh: 0, stale: 0, tags: 'latest' }).pin('latest')
    assert.equal(pinned.revision, path)
    assert.equal(await pinned.unchanged(), true)
    await execa('nix-store', ['--delete', path])
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
