import assert from 'node:assert/strict'
import { once } from 'node:events'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { resetPodman } from '../scripts/podman.ts'
import { launcher } from './support/command.ts'
import { allPrograms } from './support/clients/client.ts'
import { containersEnvironment } from './support/clients/podman.ts'
import { documents } from './support/documents.ts'
import { until } from './support/until.ts'
import { demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

// Follows docs/compose.md with podman-compose: starts a server, upgrades it and rolls back.

const skip = process.env['NIXERY_CLIENTS'] === 'all' ? false : 'takes minutes: npm run clients'
const root = join(import.meta.dirname, '..')

describe('the server of deploy/compose.yaml', { skip, timeout: 800_000 }, () => {
  let workspace: Workspace
  let env: Readonly<Record<string, string>>
  let port: number
  before(async () => {
    workspace = await openWorkspace()
    const deploy = join(workspace.folder, 'deploy')
    await mkdir(deploy)
    for (const name of ['compose.yaml', 'nixery.env']) {
      await cp(join(root, 'deploy', name), join(deploy, name))
    }
    const packages = join(deploy, 'packages')
    await execa('cp', ['--recursive', '--preserve=mode', '--reflink=auto', await demoPackages(), packages])
    const [, override = ''] = /```yaml\n(.*?)```/s.exec(documents().get('docs/compose.md') ?? '') ?? []
    await writeFile(join(deploy, 'compose.override.yaml'), override)
    const [programs] = await allPrograms()
    assert.ok(programs && !('missing' in programs))
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    port = (probe.address() as AddressInfo).port
    probe.close()
    env = {
      ...(await containersEnvironment(programs, join(workspace.folder, 'podman'))),
      PORT: String(port),
    }
    const archive = join(workspace.folder, 'nixery.tar')
    await execa(
      launcher,
      ['build', 'recipe/nixery', '--name', 'nixery:self', '--output', `docker-archive:${archive}`],
      {
        env: {
          NIXERY_RECIPES: join(root, 'packaging', 'recipes'),
          NIXERY_PKGS_PATH: packages,
          NIXERY_DATA: join(workspace.folder, 'data'),
          STORAGE_PATH: '',
          NIX_TIMEOUT: '600',
        },
        stdin: 'ignore',
      },
    )
    await podman('load', '--quiet', '--input', archive)
    // Plays the role of the previous version.
    await podman('tag', 'nixery:self', 'nixery:older')
  })
  after(async () => {
    if (env) {
      await compose('down', '--timeout', '0').catch(() => {})
      await resetPodman(join(workspace.folder, 'podman'), [], env)
    }
    await workspace?.dispose()
  })

  const podman = async (...args: string[]) => (await execa('podman', args, { env, stdin: 'ignore' })).stdout
  const compose = (...args: string[]) => composeWith('nixery:self', ...args)
  async function composeWith(image: string, ...args: string[]): Promise<string> {
    const files = ['compose', 'compose.override'].flatMap((name) => ['--file', `deploy/${name}.yaml`])
    const options = { cwd: workspace.folder, env: { ...env, NIXERY_IMAGE: image }, stdin: 'ignore' } as const
    return (await execa('podman-compose', [...files, ...args], options)).stdout
  }
  /** Starts the server from an image, and returns the digest of an image that it serves. */
  async function startFrom(image: string): Promise<string | null> {
    await composeWith(image, 'up', '--detach', 'server')
    const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined)
    await until(async () => (await get('/readyz'))?.ok === true, 'the server is ready', 180)
    assert.match(await podman('ps', '--format', '{{.Image}}'), new RegExp(image))
    const response = await get('/v2/shell/hello/manifests/latest')
    assert.equal(response?.status, 200)
    return response.headers.get('Docker-Content-Digest')
  }

  it('keeps its data across an upgrade and a rollback', async () => {
    const first = await startFrom('nixery:older')
    const image = `127.0.0.1:${port}/shell/hello`
    await podman('pull', '--quiet', '--tls-verify=false', image)
    assert.equal(await podman('run', '--rm', '--network=none', image, 'hello'), 'Hello, world!')
    assert.match(await compose('exec', 'server', 'nixery', 'gc', '--dry-run'), /images kept: 1/)
    for (const version of ['nixery:self', 'nixery:older']) {
      await compose('down', '--timeout', '20')
      assert.equal(await startFrom(version), first)
      assert.match(await compose('exec', 'server', 'nixery', 'gc', '--dry-run'), /images kept: 1/)
    }
  })
})
