import { once } from 'node:events'
import { globSync, mkdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { shareProcesses } from './shared-processes.ts'

export type TestsOptions = {
  /** Test files, as globs from the working directory. */
  readonly patterns: readonly string[]
  /** Test files that may run in one process with others; by default none. */
  readonly shared?: readonly string[]
  /** The number of files to run concurrently. */
  readonly concurrency: number
}

const cache = join(import.meta.dirname, '..', 'node_modules', '.cache')
/**
 * Shares a cache of compiled code with all processes that this one starts, which then start in half the time.
 */
export function useCompileCache(): void {
  const compileCache = join(cache, 'compiled')
  // Created first, because Node 24 retries forever if it cannot create the folder.
  mkdirSync(compileCache, { recursive: true })
  process.env['NODE_COMPILE_CACHE'] = compileCache
}

// How many of the slowest files a run lists.
const slowestShown = 15

const timeLimit = join(import.meta.dirname, 'time-limit.ts')

const takesMinutes =
  /^test\/(images|clients)\/|^test\/(compression|images|nix-versions|package|self-image)\.|^src\/nix\/nix\./
/** Puts files that take minutes first, so that none of them runs alone at the end. */
const rankOf = (file: string): number => (takesMinutes.test(file) ? 0 : file.startsWith('test/') ? 1 : 2)

/**
 * Runs tests and prints their results. At the end it lists the skipped tests with their reasons, which are easily
 * overlooked in a thousand lines, and the slowest files.
 * @returns whether some passed and none failed
 */
export async function runTests({ patterns, shared = [], concurrency }: TestsOptions): Promise<boolean> {
  useCompileCache()
  // That of the caller must not matter: tests compare the modes of files that they make.
  process.umask(0o022)
  const skipped: string[] = []
  const durations: [file: string, seconds: number][] = []
  let failed = false
  let passed = 0
  const files = globSync(patterns)
    .filter((file) => !shared.includes(file))
    .sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))
  if (shared.length > 0) files.unshift(...shareProcesses(shared, join(cache, 'tests')))
  const events = run({ files, concurrency, execArgv: ['--import', timeLimit] })
  events.on('test:fail', ({ todo }) => {
    if (todo === undefined) failed = true
  })
  events.on('test:pass', ({ name, file, skip }) => {
    if (skip === undefined) {
      passed += 1
      return
    }
    const reason = typeof skip === 'string' && skip !== '' ? skip : 'no reason given'
    skipped.push(`${file?.slice(process.cwd().length + 1) ?? ''}: ${name}: ${reason}`)
  })
  // The runner reports each file as a test, too.
  events.on('test:complete', ({ name, nesting, details }) => {
    if (nesting === 0 && files.includes(name))
      durations.push([relative(process.cwd(), name), details.duration_ms / 1000])
  })
  const output = events.compose(spec)
  output.pipe(process.stdout, { end: false })
  await once(output, 'end')
  if (skipped.length > 0) process.stdout.write(`\nskipped (${skipped.length}):\n`)
  for (const line of skipped) process.stdout.write(`  ${line}\n`)
  const slowest = durations.sort(([, a], [, b]) => b - a).slice(0, slowestShown)
  process.stdout.write('\nslowest files:\n')
  for (const [file, seconds] of slowest)
    process.stdout.write(`  ${seconds.toFixed(1).padStart(6)} s  ${file}\n`)
  // Success needs at least one test: a pattern may match nothing.
  return !failed && passed > 0
}
