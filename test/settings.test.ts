import assert from 'node:assert/strict'
import { access, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { launcher } from './support/command.ts'
import { openWorkspace, type Workspace } from './support/workspace.ts'

let workspace: Workspace
before(async () => {
  workspace = await openWorkspace()
})
after(() => workspace.dispose())

const run = (args: readonly string[], env: Readonly<Record<string, string>> = {}) =>
  execa(launcher, args, { env: { CI: '', ...env }, stdin: 'ignore', reject: false })

type Row = { name: string; value: string; source: string }
const rowOf = (stdout: string, name: string) => (JSON.parse(stdout) as Row[]).find((row) => row.name === name)

describe('nixery config', () => {
  it('prints the settings in effect and their origin, without secrets', async () => {
    const file = join(workspace.folder, 'settings.env')
    await writeFile(file, '# comment\nNIX_TIMEOUT=77\nNIXERY_GRACE="5"\nPORT=1\n')
    const { stdout, exitCode } = await run(['--env-file', file, 'config', '--json'], {
      PORT: '8081',
      S3_ACCESS_KEY: 'hunter1',
      S3_SECRET_KEY: 'hunter2',
      NIX_POPULARITY_URL: 'https://bob:hunter3@example.org/x?token=hunter4',
    })
    assert.equal(exitCode, 0)
    assert.deepEqual(rowOf(stdout, 'PORT'), { name: 'PORT', value: '8081', source: 'environment' })
    assert.deepEqual(rowOf(stdout, 'NIX_TIMEOUT'), { name: 'NIX_TIMEOUT', value: '77', source: file })
    assert.equal(rowOf(stdout, 'NIXERY_GRACE')?.value, '5')
    assert.equal(rowOf(stdout, 'NIXERY_EVAL_TIMEOUT')?.source, 'default')
    assert.doesNotMatch(stdout, /hunter/)
  })

  it('warns about unknown settings, and refuses misspelled access settings', async () => {
    const warned = await run(['config'], { NIXERY_CHANEL: 'x' })
    assert.equal(warned.exitCode, 0)
    assert.match(warned.stderr, /NIXERY_CHANEL: no such setting; did you mean NIXERY_CHANNEL\?/)
    for (const args of [['config'], ['serve'], ['gc']]) {
      const refused = await run(args, { NIXERY_DENYS: 'secret*' })
      assert.equal(refused.exitCode, 2, refused.stderr)
      assert.match(refused.stderr, /NIXERY_DENYS: no such setting; did you mean NIXERY_DENY,/)
    }
  })
})

describe('upkeep commands', () => {
  it('print the folders that they use, and fail if no server has used them', async () => {
    for (const args of [['gc'], ['gc', '--dry-run'], ['scrub']]) {
      const data = join(workspace.folder, 'unused')
      const { exitCode, stderr } = await run(args, { NIXERY_DATA: data })
      assert.equal(exitCode, 2, stderr)
      assert.match(stderr, new RegExp(`data in ${data}, blobs in ${data}/store\n`))
      assert.match(stderr, /no catalog found in .*unused\n.*--env-file FILE/)
      await assert.rejects(access(data), 'the command created the folder')
    }
  })

  it('report unreadable settings', async () => {
    const { exitCode, stderr } = await run(['--env-file', '/none', 'gc'])
    assert.equal(exitCode, 2)
    assert.match(stderr, /^nixery: cannot read \/none: ENOENT$/m)
  })
})
