import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { canOverlay } from '../../../scripts/podman.ts'
import { attempt, attemptWith, run, type Client, type Programs, type RunResult } from './client.ts'
import { ctrOptions } from './container.ts'
import { startDaemon } from './daemon.ts'
import { withTag } from './layout.ts'

/** A private containerd with its client `ctr`. */
export type Containerd = Client & {
  /** Pulls an image of a registry from a mirror, configured in `hosts.toml`. */
  pullFromMirror(image: string, mirror: string): Promise<RunResult>
  /** Pulls over plain HTTP with `name:password`, or anonymously. */
  pullAs(image: string, login: string | undefined): Promise<RunResult>
}

export async function openContainerd(programs: Programs, folder: string): Promise<Containerd> {
  const at = (name: string) => join(folder, name)
  await mkdir(folder, { recursive: true })
  const snapshotter = (await canOverlay(at('probe'))) ? 'overlayfs' : 'native'
  // All tested releases read version 2. Unused plugins are disabled because they use default paths outside the folder.
  const configuration = [
    'version = 2',
    `root = "${at('root')}"`,
    `state = "${at('state')}"`,
    `disabled_plugins = [${unusedPlugins.map((name) => `"io.containerd.${name}"`).join(', ')}]`,
    '[grpc]',
    `address = "${at('socket')}"`,
  ]
  await writeFile(at('config.toml'), `${configuration.join('\n')}\n`)
  const daemon = await startDaemon(programs, 'containerd', ['--config', at('config.toml')], async () => {
    await run(programs, 'ctr', ['--address', at('socket'), 'version'])
  })
  const ctr = (...args: readonly string[]) => ['--address', at('socket'), ...args]
  const pull = (...args: readonly string[]) =>
    attempt(programs, 'ctr', ctr('images', 'pull', '--snapshotter', snapshotter, ...args))
  let containers = 0
  const nextId = () => `nixery-test-${process.pid}-${programs.suite}-${(containers += 1)}`
  const places = ['--runc-root', at('runc'), '--fifo-dir', at('fifos'), '--snapshotter', snapshotter]
  return {
    version: /^\S+ \S+ ([\d.]+)/.exec(await run(programs, 'containerd', ['--version']))?.[1] ?? '',
    pull: (image) => pull('--plain-http', withTag(image)),
    pullAs: (image, login) =>
      pull('--plain-http', ...(login === undefined ? [] : ['--user', login]), withTag(image)),
    async pullFromMirror(image, mirror) {
      const [host = ''] = image.split('/', 1)
      await mkdir(at(`hosts/${host}`), { recursive: true })
      const hosts = `[host."http://${mirror}"]\ncapabilities = ["pull", "resolve"]\n`
      await writeFile(at(`hosts/${host}/hosts.toml`), hosts)
      return pull('--hosts-dir', at('hosts'), withTag(image))
    },
    async digestOf(image) {
      const lines = await run(programs, 'ctr', ctr('images', 'list', `name==${withTag(image)}`))
      return /sha256:[0-9a-f]{64}/.exec(lines)?.[0] ?? lines
    },
    async run(image, ...command) {
      return attempt(programs, 'ctr', ctr('run', '--rm', ...places, withTag(image), nextId(), ...command))
    },
    async runAs(image, container, ...command) {
      const options = ['--rm', ...places, ...ctrOptions(container)]
      return attempt(programs, 'ctr', ctr('run', ...options, withTag(image), nextId(), ...command))
    },
    async keep(image, container, ...command) {
      const id = nextId()
      const options = ['--detach', ...places, ...ctrOptions(container)]
      await run(programs, 'ctr', ctr('run', ...options, withTag(image), id, ...command))
      let runs = 0
      return {
        exec(args, { input, user, workdir, env = {} } = {}) {
          const how = [
            ...(user === undefined ? [] : ['--user', user]),
            ...(workdir === undefined ? [] : ['--cwd', workdir]),
            '--exec-id',
            `exec-${(runs += 1)}`,
            '--fifo-dir',
            at('fifos'),
          ]
          // `ctr tasks exec` has no option for environment variables.
          const set = Object.entries(env).map(([name, value]) => `${name}=${value}`)
          const program = set.length === 0 ? args : ['env', ...set, ...args]
          return attemptWith(input, programs, 'ctr', ctr('tasks', 'exec', ...how, id, ...program))
        },
        async remove() {
          await attempt(programs, 'ctr', ctr('tasks', 'delete', '--force', id))
          await run(programs, 'ctr', ctr('containers', 'delete', id))
        },
      }
    },
    dispose: () => daemon.stop(),
  }
}

const unusedPlugins = [
  'grpc.v1.cri',
  'cri.v1.images',
  'cri.v1.runtime',
  'internal.v1.opt',
  ...['zfs', 'btrfs', 'aufs', 'devmapper'].map((name) => `snapshotter.v1.${name}`),
]
