import { execa, ExecaError } from 'execa'
import { mkdir, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { NixeryError } from '../src/errors.ts'
import { hashFile } from './debs.ts'
import { architectures, type DebianArchitecture } from './layout.ts'

/** The npm package with Node for one architecture. Debian's Node cannot be relocated. */
export type NodePackage = { name: string; version: string; integrity: string }

const lockFile = new URL('../package-lock.json', import.meta.url)
const lockSchema = z.object({
  packages: z.record(
    z.string(),
    z.object({ version: z.string().optional(), integrity: z.string().optional() }),
  ),
})

/** The packages that the project's lock file pins for some architectures. Throws if it pins none, which is a bug. */
export async function pinnedNodePackages(wanted: readonly DebianArchitecture[]): Promise<NodePackage[]> {
  const { packages } = lockSchema.parse(JSON.parse(await readFile(lockFile, 'utf8')))
  return wanted.map((architecture) => {
    const name = architectures[architecture].npm
    const { version, integrity } = packages[`node_modules/${name}`] ?? {}
    if (version === undefined || integrity === undefined)
      throw new Error(`package-lock.json does not pin ${name}`)
    return { name, version, integrity }
  })
}

/**
 * Makes sure that the package's tarball is in `folder` with the hash in the lock file; returns its
 * path. Throws SETUP_FAILED if npm cannot fetch it or fetches something else.
 */
export async function fetchNodePackage(
  { name, version, integrity }: NodePackage,
  options: { folder: string; progress: (line: string) => void; signal: AbortSignal | undefined },
): Promise<string> {
  const { folder, progress, signal } = options
  const path = join(folder, `${name}-${version}.tgz`)
  if ((await integrityOf(path)) === integrity) return path
  progress(`downloading ${name} ${version} from the npm registry`)
  await mkdir(folder, { recursive: true })
  // This process has the lock of the cache: unfinished files are from a killed process.
  const arriving = join(folder, 'arriving')
  await rm(arriving, { recursive: true, force: true })
  await mkdir(arriving)
  try {
    await execa('npm', ['pack', '--loglevel=error', `${name}@${version}`], {
      cwd: arriving,
      // npm is a script for the first `node` in PATH: use the running one.
      env: { PATH: `${process.env['PATH'] ?? ''}:${dirname(process.execPath)}` },
      stdin: 'ignore',
      ...(signal && { cancelSignal: signal }),
    })
    const arrived = join(arriving, `${name}-${version}.tgz`)
    if ((await integrityOf(arrived)) !== integrity) {
      throw new NixeryError(
        'SETUP_FAILED',
        `the npm registry served ${name} ${version} with other content than package-lock.json pins`,
      )
    }
    await rename(arrived, path)
  } catch (error) {
    throw error instanceof ExecaError ? npmError(name, version, error) : error
  } finally {
    await rm(arriving, { recursive: true, force: true })
  }
  return path
}

async function integrityOf(path: string): Promise<string | undefined> {
  const hash = await hashFile(path, 'sha512', 'base64')
  return hash && `sha512-${hash}`
}

function npmError(name: string, version: string, error: ExecaError): NixeryError {
  if (error.isCanceled) {
    return new NixeryError('CANCELLED', 'making the demo package set was cancelled', { cause: error })
  }
  const said = String(error.stderr ?? '').split('\n')
  const reason =
    said.find((line) => / network /.test(line)) ?? said.find((line) => /^npm (error|ERR!)/.test(line))
  return new NixeryError(
    'SETUP_FAILED',
    `npm could not fetch ${name}@${version}: ${reason?.replace(/^npm (error|ERR!) */, '') ?? error.shortMessage}`,
    { cause: error, hint: 'check that the npm registry can be reached (npm ping), and try again' },
  )
}
