import { homedir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { NixeryError } from '../src/errors.ts'
import { isArchitecture } from './layout.ts'
import { ensureDemoPackageSet } from './package-set.ts'

// ./scripts/node demo/make.ts [--directory D] [--cache D] [--arch amd64,arm64]: makes the demo package set, and prints its folder.

const { values } = parseArgs({
  options: {
    directory: { type: 'string', default: xdg('XDG_DATA_HOME', '.local/share', 'demo') },
    cache: { type: 'string', default: xdg('XDG_CACHE_HOME', '.cache', '') },
    arch: { type: 'string', default: process.arch === 'arm64' ? 'arm64' : 'amd64' },
  },
})

const started = performance.now()
const interrupted = new AbortController()
process.on('SIGINT', () => interrupted.abort())
process.on('SIGTERM', () => interrupted.abort())

try {
  const directory = await ensureDemoPackageSet({
    directory: values.directory,
    cacheDirectory: values.cache,
    architectures: values.arch.split(',').map(parseArchitecture),
    progress: (line) =>
      console.error(`${((performance.now() - started) / 1000).toFixed(1).padStart(6)} s  ${line}`),
    signal: interrupted.signal,
  })
  console.log(directory)
} catch (error) {
  if (!(error instanceof NixeryError)) throw error
  console.error(`error: ${error.message}`)
  if (error.hint !== undefined) console.error(`       ${error.hint}`)
  process.exitCode = 1
}

function parseArchitecture(name: string): 'amd64' | 'arm64' {
  if (isArchitecture(name)) return name
  throw new NixeryError(
    'CONFIG_INVALID',
    `--arch must be amd64, arm64 or amd64,arm64, not ${JSON.stringify(name)}`,
  )
}

function xdg(variable: string, otherwise: string, name: string): string {
  return join(process.env[variable] ?? join(homedir(), otherwise), 'nixery', name)
}
