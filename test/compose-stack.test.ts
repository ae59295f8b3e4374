import assert from 'node:assert/strict'
import { cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { resetPodman } from '../scripts/podman.ts'
import { launcher } from './support/command.ts'
import { allPrograms } from './support/clients/client.ts'
import { containersEnvironment } from './support/clients/podman.ts'
import { serviceImages, serviceVolumes } from './support/compose/images.ts'
import { newestCompose } from './support/compose/newest.ts'
import { documents } from './support/documents.ts'
import { freePort } from './support/ports.ts'
import { until } from './support/until.ts'
import { demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

// Follows docs/compose.md with podman-compose: starts a server, then a fleet, upgrades each and rolls back.

const skip = process.env['NIXERY_CLIENTS'] === 'all' ? false : 'takes minutes: npm run clients'
const root = join(import.meta.dirname, '..')

describe('deploy/compose.yaml', { skip, timeout: 800_000 }, () => {
  let workspace: Workspace
  let env: Readonly<Record<string, string>>
  let ports: readonly number[]
  before(async () => {
    workspace = await openWorkspace()
    const deploy = join(workspace.folder, 'deploy')
    await mkdir(deploy)
    for (const name of ['compose.yaml', 'nixery.env']) {
      await cp(join(root, 'deploy', name), join(deploy, name))
    }
    const packages = join(deploy, 'packages')
    await execa('cp', ['--recursive', '--preserve=mode', '--reflink=auto', await demoPackages(), packages])
    await writeFile(join(deploy, 'compose.override.yaml'), overrideOfGuide())
    const [programs] = await allPrograms()
    assert.ok(programs && !('missing' in programs))
    ports = [await freePort(), await freePort(), await freePort()]
    env = {
      ...(await containersEnvironment(programs, join(workspace.folder, 'podman'))),
      PORT: String(ports[0]),
      PORT_1: String(ports[1]),
      PORT_2: String(ports[2]),
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
    assert.match(await podman('ps', '--format', '{{.Image}}'), new RegExp(image))
    return digestAt(Number(ports[0]))
  }

  it('keeps its data across an upgrade and a rollback', async () => {
    const first = await startFrom('nixery:older')
    const image = `127.0.0.1:${ports[0]}/shell/hello`
    await podman('pull', '--quiet', '--tls-verify=false', image)
    assert.equal(await podman('run', '--rm', '--network=none', image, 'hello'), 'Hello, world!')
    assert.match(await compose('exec', 'server', 'nixery', 'gc', '--dry-run'), /images kept: 1/)
    for (const version of ['nixery:self', 'nixery:older']) {
      await compose('down', '--timeout', '20')
      assert.equal(await startFrom(version), first)
      assert.match(await compose('exec', 'server', 'nixery', 'gc', '--dry-run'), /images kept: 1/)
    }
    await compose('down', '--timeout', '0')
  })

  it('runs a fleet across the stop of its workers, an upgrade and a rollback', async () => {
    const packages = /environment:.*/s.exec(overrideOfGuide())?.[0] ?? ''
    const overrides = [
      ...['front-1', 'front-2', 'worker'].map((name) => `  ${name}:\n    ${packages}`),
      ...['database', 'store'].map((name) => `  ${name}:\n    ${serviceVolumes}\n`),
    ]
    const override = join(workspace.folder, 'deploy', 'compose.override.yaml')
    await writeFile(override, `services:\n${overrides.join('')}`)
    const images = await serviceImages(join(workspace.folder, 'images'), env)
    const program = await newestCompose()
    /** Runs commands of the guide. */
    const follow = async (commands: string, NIXERY_IMAGE: string) => {
      const script = commands
        .replaceAll('docker compose --file deploy/compose.yaml', 'compose')
        .replaceAll(':8081/', `:${ports[1]}/`)
      const shell = `compose() { ${program} --file deploy/compose.yaml --file deploy/compose.override.yaml "$@"; }`
      const options = {
        cwd: workspace.folder,
        env: { ...env, ...images, NIXERY_IMAGE },
        stdin: 'ignore',
      } as const
      return (await execa('sh', ['-euc', `${shell}\n${script}`], options)).stdout
    }
    const fleet = (command: string) =>
      follow(`docker compose --file deploy/compose.yaml --profile fleet ${command}`, 'nixery:older')
    const digests = () => Promise.all(ports.slice(1).map(digestAt))
    const workers = async (image: string) => {
      const all = await podman('ps', '--format', '{{.Names}} {{.Image}}')
      return all.split('\n').filter((line) => line.includes('worker') && line.endsWith(image)).length
    }

    const start = guide('## Front ends and workers').split('\n')
    await follow(start.slice(0, 2).join('\n'), 'nixery:older')
    const [first, second] = await digests()
    assert.equal(first, second)
    assert.equal(await workers('nixery:older'), 2)
    const [port] = ports.slice(2)
    await podman('pull', '--quiet', '--tls-verify=false', `127.0.0.1:${port}/shell/hello`)
    // Without these containers, nothing is built; with them, a queued build continues.
    await podman('stop', 'nixery_worker_1', 'nixery_worker_2')
    const waiting = fetch(`http://127.0.0.1:${port}/v2/shell/jq/manifests/latest`)
    await podman('start', 'nixery_worker_1')
    assert.equal((await waiting).status, 200)

    const commands = guide('## Upgrades')
    const [worker = '', ...fronts] = commands.split('\n')
    for (const [version, order] of [
      ['nixery:self', commands],
      ['nixery:older', [...fronts, worker].join('\n')],
    ] as const) {
      await follow(order, version)
      assert.deepEqual(await digests(), [first, first])
      assert.equal(await workers(version), 2)
    }
    const status = () => follow(start[2] ?? '', 'nixery:older')
    await until(async () => /(worker.*\sok[^]*){2}/.test(await status()), 'both workers are listed')
    // Logs replace keys by an ellipsis; the name of the program is no key.
    assert.doesNotMatch(await podman('logs', 'nixery_front-1_1'), /"data":"[^"]*…/)
    await fleet('down --timeout 0')
    assert.equal(await podman('ps', '--quiet'), '')
  })
})

/** The first commands of a section of the guide. */
function guide(heading: string): string {
  const [, section = ''] = (documents().get('docs/compose.md') ?? '').split(heading)
  return /```sh\n(.*?)\n```/s.exec(section)?.[1] ?? ''
}

const overrideOfGuide = (): string =>
  /```yaml\n(.*?)```/s.exec(documents().get('docs/compose.md') ?? '')?.[1] ?? ''

/** Waits until a server is ready, and returns the digest of an image that it serves. */
async function digestAt(port: number): Promise<string | null> {
  const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`).catch(() => undefined)
  await until(async () => (await get('/readyz'))?.ok === true, `the server at ${port} is ready`, 180)
  const response = await get('/v2/shell/hello/manifests/latest')
  assert.equal(response?.status, 200)
  return response.headers.get('Docker-Content-Digest')
}
