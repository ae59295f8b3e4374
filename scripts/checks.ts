import { join } from 'node:path'
import { execa } from 'execa'

const root = join(import.meta.dirname, '..')
const tools = join(root, 'node_modules', '.bin')
const folders = ['src', 'demo', 'scripts', 'test', 'packaging', 'bench']

/** Runs a tool of this checkout with the same Node, and prints its output when it has exited. */
async function tool(name: string, ...args: string[]): Promise<void> {
  const run = await execa(process.execPath, [join(tools, name), ...args], {
    cwd: root,
    all: true,
    reject: false,
    // The checker of types and the linter's are Go programs that run for seconds: with fewer garbage collections they
    // take a fifth less CPU time, and a tenth more memory.
    env: { GOGC: '400' },
  })
  if (run.all !== '') process.stdout.write(`${run.all}\n`)
  if (run.failed) throw new Error(`${name} failed`)
}

export const checkFormat = () => tool('oxfmt', '--check', ...folders)
export const checkLint = () => tool('oxlint', '--type-aware', '--deny-warnings', ...folders)
// In one thread: with four, the default, each checks the types of libraries again, which doubles the CPU time.
const checkTypes = () => tool('tsc', '--project', '.', '--singleThreaded')

/** Checks format, lint and types concurrently. Waits for all, and rejects if one of them failed. */
export async function checkSources(): Promise<void> {
  const outcomes = await Promise.allSettled([checkFormat(), checkLint(), checkTypes()])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

/** Prints a title, does the work, and prints the time it took. */
export async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  process.stdout.write(`── ${title}\n`)
  const result = await work()
  process.stdout.write(`   ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
  return result
}

/** Prints the first line of an error, because tools print their findings themselves. Sets the exit code. */
export function reportFailure(script: string, error: unknown): void {
  process.stderr.write(
    `${script}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}\n`,
  )
  process.exitCode = 1
}
