import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { canOverlay } from '../../../scripts/podman.ts'
import { attempt, attemptWith, isBefore, run, type Client, type Programs } from './client.ts'
import { dockerOptions, processOptions } from './container.ts'
import { startDaemon } from './daemon.ts'

/** A private Docker daemon, which starts its own containerd, with its client. */
export const openDocker = (programs: Programs, folder: string) => open(programs, folder, {})

/** Docker with the containerd image store, the default since Docker 29. */
export const openDockerOnContainerd = (programs: Programs, folder: string) =>
  open(programs, folder, { 'storage-driver': 'overlayfs', features: { 'containerd-snapshotter': true } })

async function open(programs: Programs, folder: string, settings: object): Promise<Client> {
  const at = (name: string) => join(folder, name)
  await mkdir(folder, { recursive: true })
  const version = /version ([\d.]+)/.exec(await run(programs, 'dockerd', ['--version']))?.[1] ?? ''
  const configuration = {
    'data-root': at('data'),
    'exec-root': at('exec'),
    pidfile: at('pid'),
    hosts: [`unix://${at('socket')}`],
    'storage-driver': (await canOverlay(at('probe'))) ? 'overlay2' : 'vfs',
    bridge: 'none',
    iptables: false,
    ip6tables: false,
    'exec-opts': ['native.cgroupdriver=cgroupfs'],
    // Releases before 23.0 write an unused key, by default to /etc; later ones reject the setting.
    ...(isBefore(version, '23.0') && { 'deprecated-key-path': at('key.json') }),
    ...settings,
  }
  await writeFile(at('daemon.json'), JSON.stringify(configuration))
  const env = { DOCKER_HOST: `unix://${at('socket')}`, DOCKER_CONFIG: at('client'), TMPDIR: folder }
  const docker = (...args: readonly string[]) => run(programs, 'docker', args, env)
  const daemon = await startDaemon(programs, 'dockerd', ['--config-file', at('daemon.json')], async () => {
    await docker('version')
  })
  return {
    version,
    pull: (image) => attempt(programs, 'docker', ['pull', image], env),
    inspect: async (image) =>
      JSON.parse(await docker('image', 'inspect', '--format', '{{json .Config}}', image)) as Record<
        string,
        unknown
      >,
    async digestOf(image) {
      const digests = await docker('image', 'inspect', '--format', '{{join .RepoDigests " "}}', image)
      return /sha256:[0-9a-f]{64}/.exec(digests)?.[0] ?? digests
    },
    run: (image, ...command) =>
      attempt(programs, 'docker', ['run', '--rm', '--network=none', image, ...command], env),
    runAs: (image, container, ...command) =>
      attempt(programs, 'docker', ['run', '--rm', ...dockerOptions(container), image, ...command], env),
    keep: async (image, container, entrypoint, ...args) => {
      const options = [...dockerOptions(container), `--entrypoint=${entrypoint}`]
      const id = await docker('run', '--detach', '--tty', ...options, image, ...args)
      return {
        exec: (command, { input, ...process } = {}) =>
          attemptWith(
            input,
            programs,
            'docker',
            ['exec', '--interactive', ...processOptions(process), id, ...command],
            env,
          ),
        remove: async () => void (await docker('rm', '--force', id)),
      }
    },
    // BuildKit needs the buildx plugin, which is not installed.
    build: (context, tag) =>
      attempt(programs, 'docker', ['build', '--network=none', '--tag', tag, context], {
        ...env,
        DOCKER_BUILDKIT: '0',
      }),
    dispose: () => daemon.stop(),
  }
}
