import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'
import pRetry from 'p-retry'

/** Podman with its images and containers in a separate folder. */
export type Podman = {
  /** Runs a podman command and returns its output; fails with its message. */
  run(...args: readonly string[]): Promise<string>
  pull(image: string): Promise<string>
  /** Runs a program in a new container of the image, without a network, and returns its output. */
  runIn(image: string, ...command: readonly string[]): Promise<string>
  /** Unmounts and removes everything it created. */
  destroy(): Promise<void>
}

/** Opens podman with its state in a folder. Needs neither systemd nor the right to raise limits. */
export async function openPodman(folder: string): Promise<Podman> {
  // Locks and temporary files are separate, too, so that other instances survive a reset.
  const configuration = join(folder, 'containers.conf')
  await mkdir(folder, { recursive: true })
  await writeFile(configuration, `[engine]\nlock_type = "file"\ntmp_dir = "${join(folder, 'tmp')}"\n`)
  const env = { CONTAINERS_CONF: configuration }
  const within = (place: string) => ['--root', join(place, 'storage'), '--runroot', join(place, 'run')]
  const common = ['--runtime', 'runc', '--cgroup-manager', 'cgroupfs', '--events-backend', 'file']
  // vfs copies each layer, but works everywhere.
  const driver = (await canOverlay(join(folder, 'probe'))) ? 'overlay' : 'vfs'
  // A user without further user ids (/etc/subuid) owns all files of images.
  const owners = isRootless() ? ['--storage-opt', `${driver}.ignore_chown_errors=true`] : []
  const settings = [...within(folder), ...common, '--storage-driver', driver, ...owners]

  const run = async (...args: readonly string[]) =>
    (await execa('podman', [...settings, ...args], { stdin: 'ignore', env })).stdout
  return {
    run,
    pull: (image) => run('pull', '--quiet', '--tls-verify=false', image),
    runIn: (image, ...command) =>
      run(
        'run',
        '--rm',
        '--network=none',
        '--ulimit=nofile=1024:1024',
        '--ulimit=nproc=1024:1024',
        image,
        ...command,
      ),
    destroy: () => resetPodman(folder, settings, env),
  }
}

/**
 * Removes podman's containers, images and mounts. Retries for about a minute: a container that has just exited keeps its
 * mounts for a moment.
 * @param folder for podman's output
 * @param options of podman, before the command
 * @throws {Error} what podman printed, if the last attempt fails, too
 */
export async function resetPodman(
  folder: string,
  options: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const log = join(folder, 'reset.log')
  // A file and no pipe: processes left behind by containers may keep a pipe open after podman has exited.
  const script = 'log=$1; shift; exec podman "$@" system reset --force > "$log" 2>&1'
  const reset = async () => {
    const { failed } = await execa('sh', ['-c', script, 'sh', log, ...options], {
      env,
      stdio: 'ignore',
      reject: false,
    })
    if (failed) throw new Error(`podman system reset failed: ${await readFile(log, 'utf8')}`)
  }
  await pRetry(reset, { retries: 10, minTimeout: 200, maxTimeout: 10_000 })
}

/** Also true inside `podman unshare`, in which the user appears as root. */
const isRootless = (): boolean =>
  process.getuid?.() !== 0 || process.env['_CONTAINERS_USERNS_CONFIGURED'] !== undefined

/** Whether overlay file systems can be mounted, which is impossible in some containers. */
export async function canOverlay(folder: string): Promise<boolean> {
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => join(folder, name))
  for (const each of [lower, upper, work, merged]) await mkdir(each ?? folder, { recursive: true })
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`
  const script = 'mount -t overlay overlay -o "$1" "$2" && umount "$2"'
  // Users other than root can mount only in a user namespace.
  const within = process.getuid?.() === 0 ? [] : ['podman', 'unshare']
  const [program, ...args] = [...within, 'sh', '-c', script, 'sh', options, merged ?? folder]
  return !(await execa(program, args, { reject: false })).failed
}
