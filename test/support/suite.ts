import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { execa } from 'execa'
import { architectures, type DebianArchitecture } from '../../demo/layout.ts'
import { withLock } from '../../src/fs/lock.ts'
import { findMirrors } from '../../demo/mirrors.ts'
import { readConfig } from '../../src/config.ts'
import { byText } from '../../src/image/store-path.ts'

/** Packages of another Debian release. */
export type SuitePackages = {
  readonly suite: 'trixie' | 'sid'
  /** The name of the folder in the user's cache, without the suite. */
  readonly name: string
  readonly packages: readonly string[]
  /** Programs to be run, as paths in the tree, such as `usr/bin/nix`. */
  readonly programs: readonly string[]
  /** tar patterns of files to leave out. */
  readonly without?: readonly string[]
  /** Called before the tree is moved from `tree` to `folder`. */
  readonly finish?: (tree: string, folder: string) => Promise<void>
  /** Whether the programs in the folder run; otherwise they are unpacked again. */
  readonly works: (folder: string) => Promise<boolean>
}

/** A file in the folder that lists the unpacked packages as `package_version_architecture.deb`. */
export const packageList = 'packages.txt'

/**
 * Unpacks packages of another Debian release and their dependencies into the user's cache folder, without installing
 * anything. The programs use the libraries in that folder. Safe to repeat: unpacked programs that run are reused.
 */
export async function fromSuite(wanted: SuitePackages): Promise<{ folder: string } | { missing: string }> {
  const { NIXERY_CACHE, XDG_CACHE_HOME } = process.env
  const cache = readConfig({ HOME: homedir(), NIXERY_CACHE, XDG_CACHE_HOME }).NIXERY_CACHE
  const folder = join(cache, `${wanted.name}-${wanted.suite}`)
  try {
    return await withLock(`${folder}.lock`, {}, async () => {
      if (await wanted.works(folder)) return { folder }
      await rm(folder, { recursive: true, force: true })
      await make(wanted, folder)
      if (await wanted.works(folder)) return { folder }
      return { missing: `${wanted.name} of ${wanted.suite} does not run here` }
    })
  } catch (error) {
    return { missing: `${wanted.name} of ${wanted.suite} is not available: ${reasonOf(error)}` }
  }
}

async function make(wanted: SuitePackages, folder: string): Promise<void> {
  const architecture: DebianArchitecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  await mkdir(dirname(folder), { recursive: true })
  const scratch = await mkdtemp(`${folder}-`)
  try {
    const tree = join(scratch, 'tree')
    await mkdir(tree)
    const patterns = ['./usr/share', ...(wanted.without ?? [])].map((pattern) => `--exclude=${pattern}`)
    const debs = await download(wanted, architecture, scratch)
    for (const deb of debs) await unpack(deb, tree, patterns)
    await writeFile(join(tree, packageList), debs.map((deb) => `${basename(deb)}\n`).join(''))
    await relocate(wanted.programs, tree, folder, architecture)
    await wanted.finish?.(tree, folder)
    await rename(tree, folder)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** Downloads the packages, patchelf, and all their dependencies, even if they are installed. */
async function download(
  { suite, packages }: SuitePackages,
  architecture: DebianArchitecture,
  scratch: string,
): Promise<string[]> {
  const at = (name: string) => join(scratch, name)
  for (const name of ['lists/partial', 'archives/partial', 'parts'])
    await mkdir(at(name), { recursive: true })
  await writeFile(at('status'), '')
  await writeFile(at('suite.list'), `deb ${keys()} ${await mirror()} ${suite} main\n`)
  const settings = {
    'Dir::Etc::main': '/dev/null',
    'Dir::Etc::parts': at('parts'),
    'Dir::Etc::sourcelist': at('suite.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': at('lists'),
    'Dir::State::status': at('status'),
    'Dir::Cache': scratch,
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    'APT::Install-Recommends': 'false',
    'APT::Sandbox::User': '',
    'APT::Update::Error-Mode': 'any',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} "${value}";`)
  await writeFile(at('apt.conf'), [await acquireSettings(), ...lines, ''].join('\n'))
  const options = { env: { APT_CONFIG: at('apt.conf'), LC_ALL: 'C' }, stdin: 'ignore' } as const
  await execa('apt-get', ['update'], options)
  await execa('apt-get', ['install', '--yes', '--download-only', ...packages, 'patchelf'], options)
  const names = await readdir(at('archives'))
  const debs = names.filter((name) => name.endsWith('.deb'))
  return debs.sort(byText).map((name) => join(at('archives'), name))
}

/** The Debian mirror of this machine's apt configuration. */
async function mirror(): Promise<string> {
  const folder = '/etc/apt/sources.list.d'
  const names = await readdir(folder).catch(() => [])
  const paths = ['/etc/apt/sources.list', ...names.sort(byText).map((name) => join(folder, name))]
  const files = await Promise.all(
    paths.map(async (name) => ({ name, text: await readFile(name, 'utf8').catch(() => '') })),
  )
  const { archive } = findMirrors(files)
  if (archive === undefined) throw new Error('the apt sources of this machine have no Debian mirror')
  return archive
}

/** Newer releases of apt do not trust Debian's keys for every source. */
function keys(): string {
  const endings = ['gpg', 'pgp'].map((ending) => `/usr/share/keyrings/debian-archive-keyring.${ending}`)
  const keyring = endings.find((path) => existsSync(path))
  return keyring === undefined ? '' : `[signed-by=${keyring}]`
}

/** This machine's apt settings for proxies, certificates and timeouts. */
async function acquireSettings(): Promise<string> {
  const { stdout } = await execa('apt-config', ['dump', 'Acquire'])
  return stdout
    .split('\n')
    .filter((line) => /^Acquire::(?!IndexTargets|Changelogs|Languages)/.test(line))
    .join('\n')
}

function unpack(deb: string, tree: string, patterns: readonly string[]) {
  const tar = ['--extract', '--keep-directory-symlink', ...patterns, '--directory', tree]
  return execa('dpkg-deb', ['--fsys-tarfile', deb], { buffer: false }).pipe('tar', tar)
}

/** Makes programs, and the programs of the tree that they start, use the libraries of the tree at its final place. */
async function relocate(
  programs: readonly string[],
  tree: string,
  folder: string,
  architecture: DebianArchitecture,
): Promise<void> {
  const { triplet, dynamicLinker } = architectures[architecture]
  const libraries = join('usr/lib', triplet)
  const loader = join(libraries, dynamicLinker)
  // patchelf runs with the tree's libc, because this machine's may be too old.
  const patchelf = ['--library-path', join(tree, libraries), join(tree, 'usr/bin/patchelf')]
  const patch = (...args: string[]) => execa(join(tree, loader), [...patchelf, ...args])
  for (const program of programs.map((path) => join(tree, path))) {
    // One at a time and in this order: anything else breaks cgo programs.
    await patch('--force-rpath', '--set-rpath', join(folder, libraries), program)
    await patch('--set-interpreter', join(folder, loader), program)
  }
}

function reasonOf(error: unknown): string {
  const output = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
  const lines = output.split('\n').filter((line) => line !== '')
  const complaint = lines.find((line) => line.startsWith('E:')) ?? lines.at(0)
  return complaint ?? (error instanceof Error ? error.message : String(error)).split('\n', 1).join('')
}
