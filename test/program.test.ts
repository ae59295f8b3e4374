import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

describe('the program', () => {
  it('refuses to start with an invalid configuration, and lists all errors', async () => {
    const started = workspace.serve({ PORT: 'x', NIX_TIMEOUT: '-1', NIXERY_TAGS: 'some' })
    await assert.rejects(started, (error: Error) =>
      ['PORT', 'NIX_TIMEOUT', 'NIXERY_TAGS'].every((name) => error.message.includes(name)),
    )
  })

  it('refuses an old Node with a clear message', async () => {
    const old = join(workspace.folder, 'old')
    await execa('cp', [
      '-r',
      join(import.meta.dirname, '..', 'bin'),
      join(import.meta.dirname, '..', 'scripts'),
      `${workspace.folder}/`,
    ])
    await execa('mkdir', [old])
    await writeFile(join(old, 'node'), '#!/bin/sh\necho v22.1.0\n', { mode: 0o755 })
    const result = await execa(join(workspace.folder, 'bin', 'nixery'), ['serve'], {
      env: { PATH: `${old}:/usr/bin:/bin` },
      reject: false,
    })
    assert.equal(result.exitCode, 1)
    assert.match(result.stderr, /needs Node 24\.12 or later, and found v22\.1\.0/)
  })

  it('stops on a signal, and releases its port', async () => {
    const set = await workspace.packageSet('hello = script "hello" "echo hi";')
    const server = await workspace.serve({ NIXERY_PKGS_PATH: set })
    assert.equal(await server.stop('SIGTERM'), 0)
    await assert.rejects(fetch(`http://${server.address}/v2/`))
  })
})
