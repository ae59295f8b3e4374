import { homedir } from 'node:os'
import { join } from 'node:path'
import { ensureDemoPackageSet } from '../demo/package-set.ts'
import { readConfig } from '../src/config.ts'
import { ensurePrograms, type Program } from './install.ts'
import { runTests } from './tests.ts'

export type Matrix = {
  /** The environment variable that enables the whole matrix with `all`. */
  readonly variable: string
  /** Globs of the test files. */
  readonly patterns: readonly string[]
  /** The programs to install. */
  readonly programs: readonly Program[]
}

/** Runs a whole test matrix, of which `npm test` runs a part, one file at a time. Sets the exit code. */
export async function runMatrix({ variable, patterns, programs }: Matrix): Promise<void> {
  const say = (line: string) => process.stdout.write(`${line}\n`)
  await ensurePrograms([...programs], say)
  const { NIXERY_DATA, NIXERY_CACHE } = readConfig({ HOME: homedir() })
  await ensureDemoPackageSet({
    directory: join(NIXERY_DATA, 'demo'),
    cacheDirectory: NIXERY_CACHE,
    architectures: ['amd64', 'arm64'],
    progress: say,
  })
  process.env[variable] = 'all'
  const passed = await runTests({ patterns, concurrency: 1 })
  if (!passed) process.exitCode = 1
}
