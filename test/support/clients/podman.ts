import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import pRetry from 'p-retry'
import { canOverlay, resetPodman } from '../../../scripts/podman.ts'
import { attempt, attemptWith, run, type Client, type Programs } from './client.ts'
import { dockerOptions, processOptions } from './container.ts'

// A container that has just exited keeps its mounts for a moment.
const retries = { retries: 10, minTimeout: 200, maxTimeout: 10_000 }

/** Podman with its state in a folder. Needs neither systemd nor the right to raise resource limits. */
export async function openPodman(programs: Programs, folder: string): Promise<Client> {
  const env = await containersEnvironment(programs, folder)
  const podman = (...args: readonly string[]) => run(programs, 'podman', args, env)
  return {
    version: (await podman('--version')).replace(/^.* /, ''),
    pull: (image) => attempt(programs, 'podman', ['pull', '--quiet', '--tls-verify=false', image], env),
    inspect: async (image) =>
      JSON.parse(await podman('image', 'inspect', '--format', '{{json .Config}}', image)) as Record<
        string,
        unknown
      >,
    digestOf: (image) => podman('image', 'inspect', '--format', '{{.Digest}}', image),
    run: (image, ...command) =>
      attempt(programs, 'podman', ['run', '--rm', '--network=none', image, ...command], env),
    runAs: (image, container, ...command) =>
      attempt(programs, 'podman', ['run', '--rm', ...dockerOptions(container), image, ...command], env),
    keep: async (image, container, entrypoint, ...args) => {
      const options = [...dockerOptions(container), `--entrypoint=${entrypoint}`]
      const id = await podman('run', '--detach', '--tty', ...options, image, ...args)
      return {
        exec: (command, { input, ...process } = {}) =>
          attemptWith(
            input,
            programs,
            'podman',
            ['exec', '--interactive', ...processOptions(process), id, ...command],
            env,
          ),
        remove: async () => void (await podman('rm', '--force', '--time=0', id)),
      }
    },
    dispose: () => resetPodman(folder, [], { ...env, PATH: programs.path }),
  }
}

/** Buildah, set up like Podman. */
export async function openBuildah(programs: Programs, folder: string): Promise<Client> {
  const env = await containersEnvironment(programs, folder)
  const buildah = (...args: readonly string[]) => run(programs, 'buildah', args, env)
  return {
    version: /^buildah version (\S+)/.exec(await buildah('--version'))?.[1] ?? '',
    pull: (image) => attempt(programs, 'buildah', ['pull', '--quiet', '--tls-verify=false', image], env),
    digestOf: (image) => buildah('images', '--format', '{{.Digest}}', image),
    async run(image, ...command) {
      const container = await buildah('from', '--pull=never', image)
      const ran = await attempt(
        programs,
        'buildah',
        ['run', '--isolation=chroot', container, '--', ...command],
        env,
      )
      await buildah('rm', container)
      return ran
    },
    build: (context, tag) =>
      attempt(programs, 'buildah', ['bud', '--isolation=chroot', '--pull-never', '--tag', tag, context], env),
    async dispose() {
      await pRetry(() => buildah('rm', '--all'), retries)
      await pRetry(() => buildah('rmi', '--all', '--force'), retries)
    },
  }
}

/**
 * Configuration that keeps locks, images, containers and temporary files in the folder.
 * @param how.driver the storage driver; vfs leaves no mounts behind
 * @param how.network `host`: containers use the host's network
 */
export async function containersEnvironment(
  { folder: tree }: Programs,
  folder: string,
  how: { readonly driver?: 'vfs'; readonly network?: 'host' } = {},
): Promise<Readonly<Record<string, string>>> {
  const at = (name: string) => join(folder, name)
  await mkdir(folder, { recursive: true })
  // vfs copies each layer, but works on all file systems.
  const driver = how.driver ?? ((await canOverlay(at('probe'))) ? 'overlay' : 'vfs')
  const helpers = tree === undefined ? [] : [`helper_binaries_dir = ["${tree}/usr/lib/podman"]`]
  const monitor = tree === undefined ? [] : [`conmon_path = ["${tree}/usr/bin/conmon"]`]
  const containers = [
    '[containers]',
    // Lowering limits is always permitted; raising them is not.
    'default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]',
    ...(how.network ? [`netns = "${how.network}"`] : []),
    '[engine]',
    'runtime = "runc"',
    'cgroup_manager = "cgroupfs"',
    'events_logger = "file"',
    'lock_type = "file"',
    `tmp_dir = "${at('tmp')}"`,
    ...helpers,
    ...monitor,
    '[engine.runtimes]',
    `runc = ["${tree ?? ''}${tree === undefined ? '/usr/sbin/runc' : '/usr/bin/runc'}"]`,
  ]
  const storage = [
    '[storage]',
    `driver = "${driver}"`,
    `graphroot = "${at('storage')}"`,
    `runroot = "${at('run')}"`,
  ]
  await writeFile(at('containers.conf'), `${containers.join('\n')}\n`)
  await writeFile(at('storage.conf'), `${storage.join('\n')}\n`)
  return {
    CONTAINERS_CONF: at('containers.conf'),
    CONTAINERS_STORAGE_CONF: at('storage.conf'),
    PODMAN_IGNORE_CGROUPSV1_WARNING: '1',
    HOME: folder,
    XDG_RUNTIME_DIR: folder,
    TMPDIR: folder,
  }
}
