import { mkdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { execa } from 'execa'

/**
 * Boots this system with systemd as process 1, in namespaces and over an overlay in memory, so that nothing of it remains.
 * It has no network but its own loopback, and starts only what the probe starts.
 * @param folder is made
 * @param prepare a shell script that runs before the boot, in the new root folder
 * @param probe a shell script that runs as a service
 * @returns what the probe prints
 */
export async function underSystemd(folder: string, prepare: string, probe: string): Promise<string> {
  const [root, out] = [join(folder, 'root'), join(folder, 'out')]
  await mkdir(root, { recursive: true })
  await mkdir(out)
  const boot = `
    mount --make-rprivate /
    mount -t tmpfs tmpfs "$1"; cd "$1"; mkdir upper work root
    mount -t overlay overlay -o lowerdir=/,upperdir=upper,workdir=work root
    mkdir root/out; mount --bind "$2" root/out; cd root
    mount -t proc proc proc; mount -t sysfs sysfs sys; mount -t cgroup2 cgroup2 sys/fs/cgroup
    mount --rbind /dev dev; mount -t tmpfs -o mode=755 tmpfs run
    ip link set lo up
    printf '%s' "$3" >root/prepare; chroot . /bin/sh -eu /root/prepare >&2
    printf '%s' "$4" >root/probe
    printf '%s\n' '[Unit]' DefaultDependencies=no '[Service]' Type=oneshot StandardOutput=file:/out/printed \
      StandardError=file:/out/errors 'ExecStart=/bin/sh -eu /root/probe' \
      'ExecStopPost=/bin/systemctl --no-block exit' >etc/systemd/system/probe.service
    mkdir -p mnt; pivot_root . mnt
    # Services get their credentials by a mount that propagates to them.
    mount --make-rshared /; umount -l /mnt; cd /
    exec chroot / /usr/bin/env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
      /lib/systemd/systemd --unit=probe.service --show-status=0 --log-target=console --log-level=warning`
  const namespaces = ['--pid', '--mount', '--uts', '--ipc', '--net', '--cgroup', '--fork', '--kill-child']
  await execa('unshare', [...namespaces, 'sh', '-euc', boot, 'sh', root, out, prepare, probe])
  const [printed, errors] = await Promise.all(
    ['printed', 'errors'].map((name) => readFile(join(out, name), 'utf8')),
  )
  return `${printed}${errors}`
}
