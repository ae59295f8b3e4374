import { accessSync, constants, globSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { execa } from 'execa'
import { NixeryError } from '../src/errors.ts'

/** Programs and libraries that scripts and tests need, with the Debian package of each. */
const debianPackages = {
  'nix-store': 'nix-bin',
  skopeo: 'skopeo',
  podman: 'podman',
  buildah: 'buildah',
  containerd: 'containerd',
  ctr: 'containerd',
  dockerd: 'docker.io',
  runc: 'runc',
  umoci: 'umoci',
  python3: 'python3',
  xz: 'xz-utils',
  git: 'git',
  openssl: 'openssl',
  htpasswd: 'apache2-utils',
  jq: 'jq',
  curl: 'curl',
  'docker-registry': 'docker-registry',
  sqlite3: 'sqlite3',
  'podman-compose': 'podman-compose',
  sshd: 'openssh-server',
  nginx: 'nginx-light',
  mmdebstrap: 'mmdebstrap',
  radosgw: 'radosgw',
  'ceph-mon': 'ceph-mon',
  'ceph-osd': 'ceph-osd',
  ceph: 'ceph-common',
  'mkfs.ext4': 'e2fsprogs',
  wrk: 'wrk',
  chromium: 'chromium',
  haproxy: 'haproxy',
  pgbouncer: 'pgbouncer',
  initdb: 'postgresql',
  // Debian's patroni only suggests the library that it needs for etcd.
  patroni: 'patroni python3-etcd',
  etcd: 'etcd-server',
  faketime: 'faketime',
  zsh: 'zsh',
  fish: 'fish',
  groff: 'groff-base',
  prometheus: 'prometheus',
  'apt-get': 'apt',
  'libdeflate.so.0': 'libdeflate0',
} as const

export type Program = keyof typeof debianPackages

/**
 * Installs missing programs from Debian packages, with sudo if the user is not root. Safe to repeat.
 * @throws SETUP_FAILED with the command to run by hand
 */
export async function ensurePrograms(
  programs: readonly Program[],
  progress: (line: string) => void,
): Promise<void> {
  const libraries = await knownLibraries()
  const missing = programs.filter((name) => !(isLibrary(name) ? libraries.includes(name) : onPath(name)))
  if (missing.length === 0) return
  const packages = missing.flatMap((program) => debianPackages[program].split(' '))
  const byHand = `apt-get install --no-install-recommends ${packages.join(' ')}`
  if (!onPath('apt-get')) {
    throw new NixeryError(
      'SETUP_FAILED',
      `${missing.join(', ')} must be installed, but this system has no apt-get`,
      {
        hint: `install them with your system's package manager; on Debian: ${byHand}`,
      },
    )
  }
  const isRoot = process.getuid?.() === 0
  if (!isRoot && !(await canSudo())) {
    throw new NixeryError(
      'SETUP_FAILED',
      `${packages.join(', ')} must be installed, and sudo cannot ask for a password here`,
      { hint: `run this as root, then try again: ${byHand}` },
    )
  }
  progress(`installing ${packages.join(', ')}${isRoot ? '' : ' with sudo'}`)
  const first = await aptInstall(packages)
  if (!first.failed) return
  // The usual reasons are missing or old package lists.
  await apt(['update'])
  const second = await aptInstall(packages)
  if (second.failed) {
    const reason = second.stderr.split('\n').findLast((line) => line.startsWith('E:')) ?? second.shortMessage
    throw new NixeryError('SETUP_FAILED', `installing ${packages.join(', ')} failed: ${reason}`, {
      cause: second,
      hint: `try this by hand: ${byHand}`,
    })
  }
}

function apt(args: string[]) {
  const options = { env: { DEBIAN_FRONTEND: 'noninteractive' }, stdin: 'ignore', reject: false } as const
  if (process.getuid?.() === 0) return execa('apt-get', args, options)
  // sudo asks for the password on the terminal, not on its input.
  return execa('sudo', ['DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args], options)
}

/** Whether this user can run sudo: without a terminal, sudo cannot ask for a password. */
async function canSudo(): Promise<boolean> {
  if (!onPath('sudo')) return false
  if (process.stdin.isTTY) return true
  return !(await execa('sudo', ['--non-interactive', 'true'], { stdin: 'ignore', reject: false })).failed
}

const aptInstall = (packages: readonly string[]) =>
  apt(['install', '-y', '--no-install-recommends', ...packages])

const isLibrary = (name: string): boolean => name.includes('.so.')

/** The output of `ldconfig -p`, which lists libraries; empty if there is no ldconfig. */
async function knownLibraries(): Promise<string> {
  const { stdout } = await execa('/sbin/ldconfig', ['-p'], { reject: false })
  return stdout ?? ''
}

function onPath(program: string): boolean {
  // Debian installs each version of PostgreSQL in a separate folder.
  const others = ['/usr/sbin', '/sbin', ...globSync('/usr/lib/postgresql/*/bin')]
  return [...(process.env['PATH'] ?? '').split(delimiter), ...others].some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK)
      return true
    } catch {
      return false // not in this folder
    }
  })
}
