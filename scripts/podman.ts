import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'

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
  // Locks and temporary files are separate, too: others must survive the reset of one instance.
  const configuration = join(folder, 'containers.conf')
  await mkdir(folder, { recursive: true })
  await writeFile(configuration, `[engine]\nlock_type = "file"\ntmp_dir = "${join(folder, 'tmp')}"\n`)
  const env = { CONTAINERS_CONF: configuration }
  const within = (place: string) => ['--root', join(place, 'storage'), '--runroot', join(place, 'run')]
  const common = ['--runtime', 'runc', '--cgroup-manager', 'cgroupfs', '--events-backend', 'file']
  // vfs copies each layer, but works everywhere.
  const driver = (await canOverlay(join(folder, 'probe'))) ? 'overlay' : 'vfs'
  const settings = [...within(folder), ...common, '--storage-driver', driver]

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
    async destroy() {
      // Without pipes: processes left behind by containers may keep them open after podman has exited.
      await execa('podman', [...settings, 'system', 'reset', '--force'], { stdio: 'ignore', env })
    },
  }
}

/** Whether overlay file systems can be mounted: in some containers they cannot. */
export async function canOverlay(folder: string): Promise<boolean> {
  const [lower, upper, work, merged] = ['lower', 'upper', 'work', 'merged'].map((name) => join(folder, name))
  for (const each of [lower, upper, work, merged]) await mkdir(each ?? folder, { recursive: true })
  const options = `lowerdir=${lower},upperdir=${upper},workdir=${work}`
  const mounted = await execa('mount', ['-t', 'overlay', 'overlay', '-o', options, merged ?? folder], {
    reject: false,
  })
  if (mounted.failed) return false
  await execa('umount', [merged ?? folder])
  return true
}
