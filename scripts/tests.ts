import { once } from 'node:events'
import { globSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'

export type TestsOptions = {
  /** Files of tests, as globs from the working directory. */
  readonly patterns: readonly string[]
  /** How many files run at once. */
  readonly concurrency: number
}

/**
 * Compiled code of the program and its libraries, for all processes that tests start: a second process is ready in
 * half the time. Made first: Node 24 tries for ever to make a folder where none can be.
 */
const compileCache = join(import.meta.dirname, '..', 'node_modules', '.cache', 'compiled')

const timeLimit = join(import.meta.dirname, 'time-limit.ts')

/** Files that take minutes come first, so that none of them runs on alone at the end. */
const rankOf = (file: string): number =>
  /^test\/(images|clients)\//.test(file) ? 0 : file.startsWith('test/') ? 1 : 2

/**
 * Runs tests, each file in a process of its own, and prints what happens. At the end come the tests that were skipped,
 * each with its reason: what a machine lacks is easily overlooked in a thousand lines.
 * @returns whether some passed and none failed
 */
export async function runTests({ patterns, concurrency }: TestsOptions): Promise<boolean> {
  mkdirSync(compileCache, { recursive: true })
  process.env['NODE_COMPILE_CACHE'] = compileCache
  const skipped: string[] = []
  let failed = false
  let passed = 0
  const files = globSync(patterns).sort((a, b) => rankOf(a) - rankOf(b) || (a < b ? -1 : 1))
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
  const output = events.compose(spec)
  output.pipe(process.stdout, { end: false })
  await once(output, 'end')
  if (skipped.length > 0) process.stdout.write(`\nskipped (${skipped.length}):\n`)
  for (const line of skipped) process.stdout.write(`  ${line}\n`)
  // Patterns that match nothing prove nothing.
  return !failed && passed > 0
}
