import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import { execa } from 'execa'
import { architectures, type DebianArchitecture } from '../../demo/layout.ts'
import { withLock } from '../../demo/lock.ts'
import { findMirrors } from '../../demo/mirrors.ts'
import { readConfig } from '../../src/config.ts'
import { byText } from '../../src/image/store-path.ts'

/** A folder to put first on PATH, or why there is none. */
export type SecondNix = { readonly bin: string; readonly version: string } | { readonly missing: string }

/**
 * The Nix of another release of Debian, beside the system's: unpacked into the user's cache folder, nothing
 * installed. It works on the same /nix. Safe to repeat; what is there and runs is taken as it is.
 */
export async function secondNix(suite: 'trixie' | 'sid'): Promise<SecondNix> {
  const { NIXERY_CACHE, XDG_CACHE_HOME } = process.env
  const folder = join(
    readConfig({ HOME: homedir(), NIXERY_CACHE, XDG_CACHE_HOME }).NIXERY_CACHE,
    `nix-${suite}`,
  )
  const bin = join(folder, 'bin')
  const lock = { waiting: () => {}, signal: undefined }
  try {
    return await withLock(`${folder}.lock`, lock, async () => {
      const there = await versionOf(bin)
      if (there !== undefined) return { bin, version: there }
      await rm(folder, { recursive: true, force: true })
      await make(suite, folder)
      const version = await versionOf(bin)
      return version === undefined ? { missing: `the Nix of ${suite} does not run here` } : { bin, version }
    })
  } catch (error) {
    return { missing: `the Nix of ${suite} is not to be had: ${reason(error)}` }
  }
}

const versionOf = async (bin: string): Promise<string | undefined> => {
  const { failed, stdout } = await execa(join(bin, 'nix-store'), ['--version'], { reject: false })
  return failed ? undefined : stdout.replace(/^.*\) /, '')
}

async function make(suite: string, folder: string): Promise<void> {
  const architecture: DebianArchitecture = process.arch === 'arm64' ? 'arm64' : 'amd64'
  await mkdir(dirname(folder), { recursive: true })
  const scratch = await mkdtemp(`${folder}-`)
  try {
    const tree = join(scratch, 'tree')
    await mkdir(tree)
    for (const deb of await download(suite, architecture, scratch)) await unpack(deb, tree)
    await adopt(tree, folder, architecture)
    await rename(tree, folder)
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

/** The .debs of Nix, of patchelf and of all that they need, as if nothing were installed. */
async function download(suite: string, architecture: DebianArchitecture, scratch: string): Promise<string[]> {
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
  await writeFile(at('apt.conf'), [await howToFetch(), ...lines, ''].join('\n'))
  const env = { APT_CONFIG: at('apt.conf'), LC_ALL: 'C' }
  await execa('apt-get', ['update'], { env, stdin: 'ignore' })
  await execa('apt-get', ['install', '--yes', '--download-only', 'nix-bin', 'patchelf'], {
    env,
    stdin: 'ignore',
  })
  const names = await readdir(at('archives'))
  return names.filter((name) => name.endsWith('.deb')).map((name) => join(at('archives'), name))
}

/** Where the machine's own apt gets Debian from. */
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

/** Newer releases do not trust Debian's keys for every source. */
function keys(): string {
  const endings = ['gpg', 'pgp'].map((ending) => `/usr/share/keyrings/debian-archive-keyring.${ending}`)
  const keyring = endings.find((path) => existsSync(path))
  return keyring === undefined ? '' : `[signed-by=${keyring}]`
}

/** The machine's proxies, certificates and timeouts. */
async function howToFetch(): Promise<string> {
  const { stdout } = await execa('apt-config', ['dump', 'Acquire'])
  return stdout
    .split('\n')
    .filter((line) => /^Acquire::(?!IndexTargets|Changelogs|Languages)/.test(line))
    .join('\n')
}

function unpack(deb: string, tree: string) {
  const tar = ['--extract', '--keep-directory-symlink', '--exclude=./usr/share', '--directory', tree]
  return execa('dpkg-deb', ['--fsys-tarfile', deb]).pipe('tar', tar)
}

/** Makes Nix find its libraries where the tree will be, and gives its programs a folder of their own. */
async function adopt(tree: string, folder: string, architecture: DebianArchitecture): Promise<void> {
  const { triplet, dynamicLinker } = architectures[architecture]
  const libraries = join('usr/lib', triplet)
  const loader = join(libraries, dynamicLinker)
  // This machine's libc may be too old even for patchelf.
  const patchelf = ['--library-path', join(tree, libraries), join(tree, 'usr/bin/patchelf')]
  const interpreter = ['--set-interpreter', join(folder, loader)]
  const search = ['--force-rpath', '--set-rpath', join(folder, libraries)]
  await execa(join(tree, loader), [...patchelf, ...interpreter, ...search, join(tree, 'usr/bin/nix')])

  await mkdir(join(tree, 'bin'))
  for (const name of await readdir(join(tree, 'usr/bin'))) {
    if (!/^nix(-|$)/.test(name)) continue
    const script = join(tree, 'bin', name)
    await writeFile(script, wrapper(join(folder, 'usr/bin', name)))
    await chmod(script, 0o755)
  }
}

/** Debian builds Nix with a sandbox shell that is installed beside it: not on this machine, so without. */
const wrapper = (program: string) => `#!/bin/sh
NIX_CONFIG="sandbox-paths =
$NIX_CONFIG" exec '${program}' "$@"
`

function reason(error: unknown): string {
  const output = error instanceof Error && 'stderr' in error ? String(error.stderr) : ''
  const complaint = output.split('\n').find((line) => line.startsWith('E:'))
  return complaint ?? (error instanceof Error ? error.message : String(error)).split('\n', 1).join('')
}
