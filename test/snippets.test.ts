import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { resetPodman } from '../scripts/podman.ts'
import type { ServerProcess } from '../scripts/server.ts'
import { launcher } from './support/command.ts'
import { allPrograms } from './support/clients/client.ts'
import { openDocker } from './support/clients/docker.ts'
import { containersEnvironment } from './support/clients/podman.ts'
import { openHelm, type Helm, type KubernetesObject } from './support/helm.ts'
import { until } from './support/until.ts'
import { demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

// Every snippet of /compose is run by its program, or checked with that program's schema.

const isLong = process.env['NIXERY_CLIENTS'] === 'all'
const long = { skip: isLong ? false : 'takes long: npm run clients' }

describe('a snippet of /compose', { timeout: 600_000 }, () => {
  let workspace: Workspace
  let server: ServerProcess
  let helm: Helm
  let env: Readonly<Record<string, string>>
  let folder: string

  before(async () => {
    workspace = await openWorkspace()
    folder = join(workspace.folder, 'copied')
    await mkdir(folder)
    const search = isLong ? 'demand' : 'off'
    server = await workspace.serve({ NIXERY_PKGS_PATH: await demoPackages(), NIXERY_SEARCH: search })
    helm = await openHelm()
    const [programs] = await allPrograms()
    assert.ok(programs && !('missing' in programs))
    env = await containersEnvironment(programs, join(workspace.folder, 'podman'), { network: 'host' })
    const registries = join(workspace.folder, 'registries.conf')
    await writeFile(registries, `[[registry]]\nlocation = "${server.address}"\ninsecure = true\n`)
    env = { ...env, CONTAINERS_REGISTRIES_CONF: registries }
    // The index knows the main programs of packages.
    const isReady = async () => {
      const response = await fetch(`http://${server.address}/api/v1/search?q=hello`)
      return ((await response.json()) as { state: string }).state === 'ready'
    }
    if (isLong) await until(isReady)
  })
  after(async () => {
    if (env) await resetPodman(join(workspace.folder, 'podman'), [], env)
    await workspace?.dispose()
  })

  async function snippet(use: string, query = 'p=hello'): Promise<string> {
    const page = await (await fetch(`http://${server.address}/compose?${query}&use=${use}`)).text()
    const [, code = ''] = /<code id="snippet">(.*?)<\/code>/s.exec(page) ?? []
    assert.notEqual(code, '', use)
    return code
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&quot;', '"')
      .replaceAll('&amp;', '&')
  }
  const yaml = async <T>(use: string, query?: string): Promise<T> => {
    const [parsed] = helm.objectsIn(await snippet(use, query))
    return parsed as unknown as T
  }
  /** Runs a copied command in a terminal, because some commands need one. */
  const inTerminal = (command: string, environment = env) =>
    execa('script', ['--quiet', '--return', '--command', command, '/dev/null'], {
      cwd: folder,
      env: environment,
      stdin: 'ignore',
    })
  const podman = async (...args: string[]) => (await execa('podman', args, { cwd: folder, env })).stdout

  it('is a docker command, with or without a known program', async () => {
    const command = isLong ? 'run --rm -ti' : 'pull'
    assert.ok((await snippet('docker')).startsWith(`docker ${command} ${server.address}/hello`))
  })

  it('is a pod that conforms to Kubernetes’ schema', async () => {
    const pod = await yaml<KubernetesObject & { spec: { containers: { image: string }[] } }>('kubernetes')
    await helm.validate(pod)
    assert.equal(pod.spec.containers[0]?.image, `${server.address}/hello`)
  })

  it('is a Dockerfile whose image has the program', async () => {
    // An empty local image replaces the base, because there is no network.
    await execa('tar', ['--create', '--file', 'base.tar', '--files-from', '/dev/null'], { cwd: folder })
    await podman('import', '--quiet', 'base.tar', 'docker.io/library/debian:stable-slim')
    await writeFile(join(folder, 'Dockerfile'), await snippet('dockerfile'))
    await podman('build', '--quiet', '--tag', 'copied', '.')
    assert.equal(await podman('run', '--rm', 'copied', 'hello'), 'Hello, world!')
  })

  it('is a command that builds the image without a server', async () => {
    const command = (await snippet('build')).replace(/^nixery/, launcher)
    const environment = {
      NIXERY_PKGS_PATH: await demoPackages(),
      NIXERY_DATA: join(workspace.folder, 'built'),
      STORAGE_PATH: '',
    }
    await execa('sh', ['-euc', command], { cwd: folder, env: environment, stdin: 'ignore' })
    await podman('load', '--quiet', '--input', 'image.tar')
    assert.equal(await podman('run', '--rm', 'nixery/hello', 'hello'), 'Hello, world!')
  })

  it('is a devcontainer with the image', async () => {
    const container = JSON.parse(await snippet('devcontainer')) as { image: string }
    assert.equal(container.image, `${server.address}/hello`)
  })

  it('is a job of GitLab or GitHub that runs', long, async () => {
    type Gitlab = { test: { image: string; script: string[] } }
    const { test } = await yaml<Gitlab>('gitlab', 'r=shell&p=hello')
    type Github = { jobs: { test: { container: string; steps: { run?: string }[] } } }
    const { jobs } = await yaml<Github>('github', 'r=shell&p=hello')
    const steps = jobs.test.steps.flatMap(({ run }) => run ?? [])
    // Runners pass the script to the image's shell.
    for (const [image, script] of [
      [test.image, test.script],
      [jobs.test.container, steps],
    ] as const) {
      const printed = await podman('run', '--rm', '--entrypoint=sh', image, '-euc', script.join('\n'))
      assert.match(printed, /^hello \(GNU Hello\)/)
    }
  })

  it('is a Compose file that podman-compose starts', long, async () => {
    await writeFile(join(folder, 'compose.yaml'), await snippet('compose', 'r=shell&p=hello'))
    const compose = (...args: string[]) => execa('podman-compose', args, { cwd: folder, env })
    await compose('up', '--detach')
    const printed = await podman('exec', 'copied_tools_1', 'hello')
    await compose('down', '--timeout', '0')
    assert.equal(printed, 'Hello, world!')
  })

  it('is a docker command that runs', long, async () => {
    const [programs] = await allPrograms()
    assert.ok(programs && !('missing' in programs))
    const dockerFolder = join(workspace.folder, 'docker')
    const docker = await openDocker(programs, dockerFolder)
    try {
      const command = await snippet('docker')
      const { stdout } = await inTerminal(command, {
        ...env,
        DOCKER_HOST: `unix://${join(dockerFolder, 'socket')}`,
      })
      assert.match(stdout, /Hello, world!/)
    } finally {
      await docker.dispose()
    }
  })
})
