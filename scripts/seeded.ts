import { parseArgs } from 'node:util'
import { NixeryError } from '../src/errors.ts'
import { ensurePrograms, type Program } from './install.ts'
import { useCompileCache } from './tests.ts'

/** A long-running randomized test. The same seed repeats a run. */
export type SeededCommand<Name extends string> = {
  /** The name of the npm script. */
  readonly name: string
  /** The meaning and default of each option. */
  readonly options: Readonly<Record<Name, readonly [meaning: string, value: string]>>
  /** The programs to install first. */
  readonly programs: readonly Program[]
  /** Runs the command and returns figures to print. */
  run(
    values: Readonly<Record<Name, string>>,
    context: { seed: number; say: Say },
  ): Promise<Readonly<Record<string, number>>>
}

export type Say = (line: string) => void

const say: Say = (line) => process.stdout.write(`${line}\n`)

/** Parses the options of this process, runs the command, and prints its figures and duration. */
export async function runSeeded<Name extends string>(command: SeededCommand<Name>): Promise<void> {
  const { name, options, programs } = command
  const all: Readonly<Record<string, readonly [meaning: string, value: string]>> = {
    ...options,
    seed: ['seed of the random choices; the same seed repeats a run', String(Date.now() % 1_000_000_000)],
  }
  const texts = Object.entries(all).map(
    ([option, [, value]]) => [option, { type: 'string', default: value }] as const,
  )
  const { values } = parseArgs({
    options: { ...Object.fromEntries(texts), help: { type: 'boolean' } } as const,
  })
  if ('help' in values) {
    say(`usage: npm run ${name} -- [options]`)
    for (const [option, [meaning, value]] of Object.entries(all)) {
      say(`  --${option.padEnd(14)} ${meaning}${option === 'seed' ? '' : ` (${value})`}`)
    }
    return
  }
  await ensurePrograms(programs, say)
  useCompileCache()
  const given = values as Readonly<Record<string, string>>
  const seed = Number(given['seed'])
  say(`seed ${seed}`)
  const started = performance.now()
  const figures = await command.run(given, { seed, say })
  for (const [figure, value] of Object.entries(figures)) say(`${figure}: ${Math.round(value)}`)
  say(`seconds: ${Math.round((performance.now() - started) / 1000)}`)
}

/** Installs programs for an optional part of a command. If that fails, prints why and returns false. */
export async function tryPrograms(programs: readonly Program[], part: string): Promise<boolean> {
  try {
    await ensurePrograms(programs, say)
    return true
  } catch (error) {
    if (!(error instanceof NixeryError)) throw error
    say(`without ${part}: ${error.message}`)
    return false
  }
}
