import assert from 'node:assert/strict'
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { execa } from 'execa'
import { openPodman, type Podman } from '../scripts/podman.ts'
import { mediaTypes } from '../src/image/oci.ts'
import { capabilities } from './support/container-rights.ts'
import { passwordFile, startDockerRegistry } from './support/docker-registry.ts'
import { documents } from './support/documents.ts'
import { demoPackages, openWorkspace, type Workspace } from './support/workspace.ts'

// The program builds an image of itself, and a container of that image serves images with the Nix inside it.

const launcher = join(import.meta.dirname, '..', 'bin', 'nixery')
const recipes = join(import.meta.dirname, '..', 'packaging', 'recipes')
const name = 'recipe/nixery'
const image = 'docker.io/nixery/self:latest'
const limits = ['--ulimit=nofile=1024:1024', '--ulimit=nproc=1024:1024']
/** The container options for the capabilities that the Helm chart grants. */
const capabilityOptions = [
  '--cap-drop=ALL',
  ...capabilities.map((capability) => `--cap-add=${capability}`),
  '--security-opt=no-new-privileges',
]
// The demo package of the program supports only amd64.
const skip = process.arch !== 'x64'

let workspace: Workspace
let podman: Podman
let packages: string
let archive: string
let own: { digest: string }
before(async () => {
  if (skip) return
  workspace = await openWorkspace()
  podman = await openPodman(join(workspace.folder, 'podman'))
  archive = join(workspace.folder, 'self.tar')
  // A copy, because the set contains this program and changes with it.
  packages = join(workspace.folder, 'packages')
  await execa('cp', ['--recursive', '--preserve=mode', '--reflink=auto', await demoPackages(), packages])
})
after(async () => {
  if (skip) return
  await podman.run('rm', '--all', '--force', '--time=0')
  await podman.destroy()
  await workspace.dispose()
})

/** Starts a container that serves on a free port of the loopback interface. */
async function startContainer(container: string, options: readonly string[] = []): Promise<void> {
  const variables = [
    'NIXERY_HOST=127.0.0.1',
    'PORT=0',
    'NIXERY_PKGS_PATH=/packages',
    'NIX_TIMEOUT=600',
    'NIXERY_RECIPES=/lib/nixery/packaging/recipes',
  ]
  const settings = variables.flatMap((variable) => ['--env', variable])
  const mounts = ['--volume', `${packages}:/packages:ro`]
  const args = ['--network=host', ...limits, ...capabilityOptions, ...settings, ...mounts, ...options]
  await podman.run('run', '--detach', '--name', container, ...args, image)
}

/** Waits until the server has logged `ready` for the nth time, and returns its address. */
async function untilReady(container: string, times = 1): Promise<string> {
  for (const deadline = Date.now() + 60_000; ; await sleep(200)) {
    const log = await podman.run('logs', container)
    const readyLines = log
      .split('\n')
      .filter((line) => line.startsWith('{') && line.includes('"msg":"ready"'))
    const last = readyLines[times - 1]
    if (last !== undefined) return `127.0.0.1:${(JSON.parse(last) as { port: number }).port}`
    const state = await podman.run('inspect', '--format', '{{.State.Status}}', container)
    assert.ok(state === 'running' && Date.now() < deadline, `${container} is ${state}, not ready:\n${log}`)
  }
}

async function digestOf(address: string, repository: string): Promise<string | null> {
  const accept = { Accept: mediaTypes.oci.manifest }
  const response = await fetch(`http://${address}/v2/${repository}/manifests/latest`, { headers: accept })
  assert.equal(response.status, 200, await response.text())
  return response.headers.get('Docker-Content-Digest')
}

describe('the image of this program, built by itself', { skip, timeout: 600_000 }, () => {
  it('is built and loaded', async () => {
    const environment = {
      NIXERY_DATA: join(workspace.folder, 'self'),
      NIXERY_PKGS_PATH: packages,
      NIXERY_RECIPES: recipes,
    }
    const built = await execa(
      launcher,
      ['build', name, '--output', `docker-archive:${archive}`, '--name', image, '--json'],
      { env: { ...environment, STORAGE_PATH: '', NIX_TIMEOUT: '600', NIXERY_TAGS: '' }, stdin: 'ignore' },
    )
    own = JSON.parse(built.stdout) as typeof own
    await podman.run('load', '--quiet', '--input', archive)
    const entry = ['--entrypoint=sh', '--network=none', ...limits]
    const list = 'cd $(dirname $(readlink -f /bin/nixery))/../lib/nixery && ls'
    const files = await podman.run('run', '--rm', ...entry, image, '-c', list)
    const folders = ['demo', 'docs', 'node_modules', 'packaging', 'src']
    const rootFiles = ['CHANGELOG.md', 'package-lock.json', 'package.json']
    assert.deepEqual(files.split('\n').sort(), [...folders, ...rootFiles].sort())
  })

  it('has a config to start the server, and is healthy with default settings', async () => {
    const inspected = await podman.run('image', 'inspect', '--format', '{{json .Config}}', image)
    const config = JSON.parse(inspected) as Record<string, unknown>
    assert.deepEqual(config['Entrypoint'], ['nixery-entrypoint'])
    assert.deepEqual(config['Cmd'], ['serve'])
    assert.deepEqual(config['ExposedPorts'], { '8080/tcp': {} })
    assert.deepEqual(config['Volumes'], { '/var/lib/nixery': {} })
    assert.equal((config['Labels'] as Record<string, string>)['org.opencontainers.image.title'], 'Nixery')

    // Only Docker's image format has health checks.
    await podman.run('pull', '--quiet', `docker-archive:${archive}`)
    await podman.run('run', '--detach', '--name', 'plain', '--network=none', ...limits, image)
    assert.match(await untilReady('plain'), /:8080$/)
    await podman.run('healthcheck', 'run', 'plain')
    const settings = await podman.run('exec', 'plain', 'nixery', 'config')
    assert.match(settings, /^NIXERY_CHANNEL +nixos-unstable +default$/m)
    assert.match(settings, /^NIXERY_PLATFORMS +amd64,arm64 +default$/m)
    assert.match(await podman.run('exec', 'plain', 'sh', '-c', 'ssh -V 2>&1'), /OpenSSH/)
    await podman.run('rm', '--force', '--time=0', 'plain')
  })

  it('serves the same images as a server outside, and its own image', async () => {
    const hooks = join(workspace.folder, 'hooks')
    await mkdir(hooks)
    await writeFile(join(hooks, 'hook'), '#!/bin/sh\necho run >>/var/lib/nixery/hook\n')
    await chmod(join(hooks, 'hook'), 0o755)
    await startContainer('serves', [
      '--volume',
      `${hooks}:/hooks:ro`,
      '--env',
      'NIXERY_PRELAUNCH=/hooks/hook',
    ])
    const address = await untilReady('serves')
    const outside = await workspace.serve({ NIXERY_PKGS_PATH: packages, NIX_TIMEOUT: '600' })

    // The container's Nix must build hello, because its store has only the packages of its image.
    assert.equal(await digestOf(address, 'hello'), await digestOf(outside.address, 'hello'))
    const pulled = `${address}/shell/hello`
    await podman.pull(pulled)
    assert.equal(await podman.runIn(pulled, 'hello'), 'Hello, world!')
    const layout = join(workspace.folder, 'layout')
    await execa('skopeo', ['copy', '--src-tls-verify=false', `docker://${address}/jq`, `oci:${layout}:jq`])

    // Building its own image needs only packages that it already contains.
    assert.equal(await digestOf(address, name), own.digest)
    const log = await podman.run('logs', 'serves')
    const warnings = log.split('\n').filter((line) => /"level":"(warn|error|fatal)"/.test(line))
    // The container's limit of open files causes a warning.
    assert.deepEqual(
      warnings.filter((line) => !line.includes('files may be open at once')),
      [],
    )
  })

  it('works after a stop and a start', async () => {
    // Images must not depend on Nix's store: the pull below combines known and new packages.
    await podman.run('exec', 'serves', 'nix-store', '--gc')
    await podman.run('stop', '--time=120', 'serves')
    assert.equal(await podman.run('inspect', '--format', '{{.State.ExitCode}}', 'serves'), '0')
    await podman.run('start', 'serves')
    const address = await untilReady('serves', 2)
    const pulled = `${address}/shell/cowsay`
    await podman.pull(pulled)
    assert.match(await podman.runIn(pulled, 'cowsay', 'again'), /< again >/)

    const inside = async (...command: string[]) => podman.run('exec', 'serves', ...command)
    assert.equal(await inside('cat', '/var/lib/nixery/hook'), 'run\nrun')
    assert.equal((await inside('cat', '/etc/passwd')).match(/^nixbld1:/gm)?.length, 1)
    assert.equal((await inside('cat', '/etc/group')).match(/^nixbld:/gm)?.length, 1)
    assert.match(await inside('cat', '/etc/nix/nix.conf'), /^build-users-group = nixbld$/m)
    // The garbage collector keeps the container's own programs, and the store is consistent.
    const dead = await inside('nix-store', '--gc', '--print-dead')
    for (const program of ['nixery', 'nix', 'git', 'bash', 'node']) {
      const path = await inside('sh', '-c', `readlink -f $(command -v ${program} || echo /bin/nixery)`)
      assert.ok(!dead.includes(path.split('/').slice(0, 4).join('/')), path)
    }
    await inside('nix-store', '--verify', '--check-contents')
    // Commands in the container find the server's folders, although only the entry point sets them.
    const cleaned = JSON.parse(await inside('nixery', 'gc', '--dry-run', '--json')) as { imagesKept: number }
    assert.ok(cleaned.imagesKept >= 4, JSON.stringify(cleaned))
    const scrubbed = JSON.parse(await inside('nixery', 'scrub', '--json')) as { checked: number }
    assert.ok(scrubbed.checked > 20, JSON.stringify(scrubbed))
    assert.match(await inside('nixery', 'warm', 'jq'), /^jq:latest amd64 sha256:/)
    assert.match(await inside('nixery', 'config'), /^NIXERY_DATA +\/var\/lib\/nixery +default$/m)
  })

  it('is the image of a CI job that builds and pushes another one', async () => {
    const [, script = ''] =
      /## Build and push[^]*?# GitLab[^]*?script:\n([^]*?) {2}artifacts/.exec(
        documents().get('docs/ci.md') ?? '',
      ) ?? []
    const lines = [...script.matchAll(/^ *- (.*)$/gm)].map(([, line = '']) => line)
    assert.equal(lines.length, 2, script)
    const folder = join(workspace.folder, 'registry')
    const path = await passwordFile(folder)
    const registry = await startDockerRegistry(folder, { auth: { htpasswd: { realm: 'test', path } } })
    const variables = [
      'NIXERY_PKGS_PATH=/packages',
      'NIX_TIMEOUT=600',
      'CI_REGISTRY_USER=user',
      'CI_REGISTRY_PASSWORD=pass:word',
      `CI_REGISTRY_IMAGE=${registry.address}/group/project`,
    ].flatMap((variable) => ['--env', variable])
    const mounts = ['--volume', `${packages}:/packages:ro`]
    // GitLab's runner replaces the entry point by a shell.
    const options = ['--entrypoint=sh', '--network=host', ...limits, ...variables, ...mounts]
    const job = lines.join('\n').replaceAll('shell/git/htop', 'hello')
    await podman.run('run', '--rm', ...options, image, '-euc', job)
    const pushed = `docker://${registry.address}/group/project/tools:latest`
    const credentials = ['--tls-verify=false', '--creds', 'user:pass:word']
    const { stdout } = await execa('skopeo', ['inspect', ...credentials, pushed])
    assert.match(stdout, /"Digest": "sha256:/)
    await registry.stop()
  })

  it('builds in a sandbox if permitted', async () => {
    const mounted = ['--volume', `${packages}:/packages:ro`, '--env', 'NIXERY_PKGS_PATH=/packages']
    const options = ['--privileged', '--network=none', ...limits, ...mounted, '--env', 'NIXERY_SANDBOX=true']
    const script = 'nixery-entrypoint build hello && cat /etc/nix/nix.conf'
    const printed = await podman.run('run', '--rm', ...options, '--entrypoint=sh', image, '-c', script)
    assert.match(printed, /^sha256:[0-9a-f]{64}$/m)
    assert.match(printed, /^sandbox = true\nsandbox-fallback = false$/m)
  })

  it('reports an invalid setting and exits', async () => {
    const failing: [variable: string, message: RegExp][] = [
      ['NIXERY_SANDBOX=perhaps', /NIXERY_SANDBOX must be true, false or relaxed, not perhaps/],
      ['NIXERY_PRELAUNCH=false', /NIXERY_PRELAUNCH \(false\) ended with status 1/],
    ]
    for (const [variable, message] of failing) {
      const args = ['run', '--rm', '--network=none', ...limits, '--env', variable, image]
      await assert.rejects(podman.run(...args), message)
    }
  })
})
