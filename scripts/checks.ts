import { join } from 'node:path'
import { execa } from 'execa'

const root = join(import.meta.dirname, '..')
const tools = join(root, 'node_modules', '.bin')
const folders = ['src', 'demo', 'scripts', 'test', 'packaging', 'bench']

/** Runs a tool of this checkout on the Node that runs this script, and prints its output in one piece when it ends. */
async function tool(name: string, ...args: string[]): Promise<void> {
  const run = await execa(process.execPath, [join(tools, name), ...args], {
    cwd: root,
    all: true,
    reject: false,
  })
  if (run.all !== '') process.stdout.write(`${run.all}\n`)
  if (run.failed) throw new Error(`${name} failed`)
}

export const checkFormat = () => tool('oxfmt', '--check', ...folders)
export const checkLint = () => tool('oxlint', '--type-aware', '--deny-warnings', ...folders)
// With one checker: four, the default, check the types of libraries four times, which takes twice the CPU time.
const checkTypes = () => tool('tsc', '--project', '.', '--checkers', '1')

/** Checks format, lint and types, side by side, and fails when all have ended if one of them fails. */
export async function checkSources(): Promise<void> {
  const outcomes = await Promise.allSettled([checkFormat(), checkLint(), checkTypes()])
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
}

/** Prints a title, does the work, and prints how long it took. */
export async function step<T>(title: string, work: () => Promise<T>): Promise<T> {
  const started = performance.now()
  process.stdout.write(`── ${title}\n`)
  const result = await work()
  process.stdout.write(`   ${((performance.now() - started) / 1000).toFixed(1)} s\n`)
  return result
}

/** Tells why a script failed, in a line: what a tool found, it has printed itself. */
export function reportFailure(script: string, error: unknown): void {
  process.stderr.write(
    `${script}: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}\n`,
  )
  process.exitCode = 1
}
