import { join } from 'node:path'
import { execa } from 'execa'

/** Podman with images and containers in a folder of its own. */
export type Podman = {
  /** Runs a command of podman and gives what it printed; fails with its message. */
  run(...args: readonly string[]): Promise<string>
  pull(image: string): Promise<string>
  /** Runs a program in a new container of the image, without a network, and gives what it printed. */
  runIn(image: string, ...command: readonly string[]): Promise<string>
  /** Unmounts and removes all it made. */
  destroy(): Promise<void>
}

/** Opens podman over a folder. It needs neither systemd nor the right to raise limits. */
export async function openPodman(folder: string): Promise<Podman> {
  const within = (place: string) => ['--root', join(place, 'storage'), '--runroot', join(place, 'run')]
  const common = ['--runtime', 'runc', '--cgroup-manager', 'cgroupfs', '--events-backend', 'file']
  // Overlay is not to be had in every container; vfs is, and copies each layer.
  // Asked in a folder of its own: a driver that was once chosen stays.
  const probe = join(folder, 'probe')
  const overlay = await execa(
    'podman',
    [...within(probe), ...common, '--storage-driver', 'overlay', 'info'],
    {
      reject: false,
    },
  )
  const driver = overlay.failed && /overlay/.test(overlay.stderr) ? 'vfs' : 'overlay'
  const settings = [...within(folder), ...common, '--storage-driver', driver]

  const run = async (...args: readonly string[]) =>
    (await execa('podman', [...settings, ...args], { stdin: 'ignore' })).stdout
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
    async destroy() {
      await run('system', 'reset', '--force')
    },
  }
}
