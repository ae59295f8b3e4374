import assert from 'node:assert/strict'
import { access, chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { launcher } from './support/command.ts'
import { documents } from './support/documents.ts'
import { openWorkspace, requestV2, type Workspace } from './support/workspace.ts'

// Runs the commands of docs/backup.md with other folders. Programs that need systemd or the user `nixery` are replaced.

const guide = documents().get('docs/backup.md') ?? ''
const commandsBelow = (heading: string): string => {
  const [, commands] = new RegExp(`\n## ${heading}\n[^]*?\`\`\`sh\n([^]*?)\`\`\``).exec(guide) ?? []
  assert.ok(commands !== undefined, heading)
  return commands
}

describe('docs/backup.md', () => {
  let workspace: Workspace
  let data: string
  let settings: Record<string, string>
  before(async () => {
    workspace = await openWorkspace()
    data = join(workspace.folder, 'data')
    const bin = join(workspace.folder, 'bin')
    await mkdir(bin)
    const replaced = { systemctl: '', chown: '', sudo: 'shift 2; exec "$@"', nixery: `exec ${launcher} "$@"` }
    for (const [name, text] of Object.entries(replaced)) {
      await writeFile(join(bin, name), `#!/bin/sh\n${text}\n`)
      await chmod(join(bin, name), 0o755)
    }
    settings = {
      PATH: `${bin}:${process.env['PATH']}`,
      NIXERY_DATA: data,
      STORAGE_PATH: join(data, 'store'),
      NIXERY_PKGS_PATH: await workspace.packageSet(
        'one = script "one" "echo 1"; two = script "two" "echo 2";',
      ),
      NIXERY_HOST: '127.0.0.1',
      NIXERY_AUTH: 'token',
      NIXERY_HTPASSWD: join(workspace.folder, 'users'),
    }
    await writeFile(settings['NIXERY_HTPASSWD'] ?? '', '')
    const lines = Object.entries(settings).filter(([name]) => name !== 'PATH')
    await writeFile(
      join(workspace.folder, 'nixery.env'),
      lines.map(([name, value]) => `${name}=${value}\n`).join(''),
    )
  })
  after(() => workspace.dispose())

  const run = async (heading: string) => {
    const script = commandsBelow(heading)
      .replaceAll('/var/lib/nixery', data)
      .replaceAll('/backup', join(workspace.folder, 'backup'))
      .replaceAll('/etc/nixery.env', join(workspace.folder, 'nixery.env'))
    return (await execa('sh', ['-euc', script], { env: settings, stdin: 'ignore' })).stderr
  }

  it('restores images and API keys from a backup of a running server', async () => {
    const { stdout: key } = await execa(launcher, ['key', 'create', '--name', 'ci'], { env: settings })
    const headers = { authorization: `Bearer ${key}` }
    const status = async (server: { address: string }, path: string) =>
      (await requestV2(server, path, { headers })).response.status

    const server = await workspace.serve(settings)
    const { response } = await requestV2(server, 'one/manifests/latest', { headers })
    assert.equal(response.status, 200)
    const digest = response.headers.get('docker-content-digest') ?? ''
    await run('Back up')
    await access(join(workspace.folder, 'backup', 'token.key'))
    // The server continues after the backup, and then everything is lost.
    assert.equal(await status(server, 'two/manifests/latest'), 200)
    await server.stop()
    await rm(data, { recursive: true })
    await mkdir(data)

    assert.match(await run('Restore'), /^\d+ blobs, .*: no damage found$/m)
    const restored = await workspace.serve(settings)
    assert.equal(await status(restored, `one/manifests/${digest}`), 200)
    assert.equal(await status(restored, 'two/manifests/latest'), 200)
    await restored.stop()
  })
})
