import { execa, ExecaError } from 'execa'
import { access, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NixeryError, systemErrorCode } from '../src/errors.ts'
import { findMirrors, type Mirrors } from './mirrors.ts'
import type { DebianArchitecture } from './layout.ts'

/** Debian 12's archive, read through a separate apt state: the host's release and packages do not matter. */
export type Apt = {
  /** Fetches the lists. Throws SETUP_FAILED if that fails and there are no earlier lists. */
  update(): Promise<void>
  /** The texts of the `Packages` files. */
  packageLists(): Promise<string[]>
  /** Downloads packages (`name=version`) into a folder; `onLine` gets apt's output. Throws SETUP_FAILED. */
  download(packages: string[], folder: string, onLine: (line: string) => void): Promise<void>
}

const release = 'bookworm'

/**
 * Sets up the apt state in `folder`. Throws SETUP_FAILED if apt or dpkg-deb is missing or the host knows no
 * Debian mirror.
 */
export async function openApt(options: {
  folder: string
  architecture: DebianArchitecture
  progress: (line: string) => void
  signal: AbortSignal | undefined
}): Promise<Apt> {
  const { folder, architecture, progress, signal } = options
  await requireTool('apt-get')
  await requireTool('dpkg-deb')
  const at = (name: string): string => join(folder, name)
  for (const name of ['lists/partial', 'cache/archives/partial', 'parts'])
    await mkdir(at(name), { recursive: true })
  await writeFile(at('status'), '')
  await writeFile(at('debian.sources'), sourcesText(await hostMirrors(), await findKeyring()))
  // Configuration files are read in this order: APT_CONFIG, the parts it names, options. So the host's parts
  // (with hooks that clean caches or call other programs) are skipped, except for their proxy settings.
  await writeFile(
    at('apt.conf'),
    `${await acquireSettings()}Dir::Etc::parts "${at('parts')}";\nDir::Etc::main "/dev/null";\n`,
  )
  const settings = {
    'Dir::Etc::sourcelist': at('debian.sources'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': at('lists'),
    'Dir::State::status': at('status'),
    'Dir::Cache': at('cache'),
    // apt's own cache would save a second, and take 100 MB.
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'APT::Architecture': architecture,
    'APT::Architectures': architecture,
    'APT::Sandbox::User': '',
    'APT::Update::Error-Mode': 'any',
    'Acquire::GzipIndexes': 'false',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '3',
  }
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`])
  const run = (args: string[], cwd = folder) =>
    execa('apt-get', [...flags, '--quiet', ...args], {
      cwd,
      env: { APT_CONFIG: at('apt.conf'), LC_ALL: 'C' },
      stdin: 'ignore',
      ...(signal && { cancelSignal: signal }),
    })

  const lists = async (): Promise<string[]> => {
    const { stdout } = await run(['indextargets', '--format', '$(FILENAME)', 'Created-By: Packages'])
    return stdout.split('\n').filter((line) => line !== '')
  }

  return {
    async update() {
      try {
        await run(['update'])
      } catch (error) {
        if (signal?.aborted === true || (await lists()).length === 0) throw aptError('fetch the lists', error)
        progress(`apt: ${reason(error)}; going on with the lists fetched before`)
      }
    },
    async packageLists() {
      return Promise.all((await lists()).map((file) => readFile(file, 'utf8')))
    },
    async download(packages, into, onLine) {
      try {
        const process = run(['download', ...packages], into)
        for await (const line of process) onLine(line)
        await process
      } catch (error) {
        throw aptError('download packages', error)
      }
    },
  }
}

async function requireTool(name: string): Promise<void> {
  try {
    await execa(name, ['--version'])
  } catch (error) {
    throw new NixeryError(
      'SETUP_FAILED',
      `the demo package set is made of Debian's packages, and ${name} does not run here; use a Debian system, or name another package source`,
      { cause: error },
    )
  }
}

async function hostMirrors(): Promise<Mirrors> {
  const folder = '/etc/apt/sources.list.d'
  const names = (await ifExists(readdir(folder), [])).filter((name) => /\.(list|sources)$/.test(name)).sort()
  const paths = ['/etc/apt/sources.list', ...names.map((name) => join(folder, name))]
  const files = await Promise.all(
    paths.map(async (name) => ({ name, text: await ifExists(readFile(name, 'utf8'), '') })),
  )
  return findMirrors(files)
}

function sourcesText({ archive, security }: Mirrors, keyring: string | undefined): string {
  if (archive === undefined) {
    throw new NixeryError(
      'SETUP_FAILED',
      "no Debian mirror in /etc/apt/sources.list or /etc/apt/sources.list.d; add one with a suite of Debian's and component main",
    )
  }
  const stanza = (address: string, suites: string): string =>
    `Types: deb\nURIs: ${address}\nSuites: ${suites}\nComponents: main\n${keyring === undefined ? '' : `Signed-By: ${keyring}\n`}`
  const stanzas = [stanza(archive, `${release} ${release}-updates`)]
  if (security !== undefined) stanzas.push(stanza(security, `${release}-security`))
  return stanzas.join('\n')
}

async function findKeyring(): Promise<string | undefined> {
  for (const ending of ['gpg', 'pgp']) {
    const path = `/usr/share/keyrings/debian-archive-keyring.${ending}`
    if (
      await ifExists(
        access(path).then(() => true),
        false,
      )
    )
      return path
  }
  return undefined
}

/** The host's settings for fetching: proxies, timeouts, certificates; but not its indexes. */
async function acquireSettings(): Promise<string> {
  const { stdout } = await execa('apt-config', ['dump', 'Acquire'])
  const lines = stdout
    .split('\n')
    .filter((line) => /^Acquire::(?!IndexTargets|Changelogs|Languages)/.test(line))
  return `${lines.join('\n')}\n`
}

async function ifExists<T>(reading: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await reading
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return otherwise
    throw error
  }
}

function aptError(what: string, error: unknown): NixeryError {
  if (error instanceof ExecaError && error.isCanceled) {
    return new NixeryError('CANCELLED', 'making the demo package set was cancelled', { cause: error })
  }
  return new NixeryError('SETUP_FAILED', `apt-get could not ${what}: ${reason(error)}`, {
    cause: error,
    hint: 'check that the Debian mirror in the apt sources can be reached, and try again',
  })
}

/** The first line with an error of apt. */
function reason(error: unknown): string {
  const output = error instanceof ExecaError ? String(error.stderr) : String(error)
  const line = output.split('\n').find((each) => /^(E|Err|W):?/.test(each))
  return (
    line?.replace(/^[EW]: */, '') ??
    (error instanceof Error ? (error.message.split('\n', 1)[0] ?? '') : 'failed')
  )
}
