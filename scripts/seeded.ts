import { parseArgs } from 'node:util'
import { NixeryError } from '../src/errors.ts'
import { ensurePrograms, type Program } from './install.ts'
import { useCompileCache } from './tests.ts'

/** A command that tries something at random for long. The same seed chooses the same. */
export type SeededCommand<Name extends string> = {
  /** Its name for `npm run`. */
  readonly name: string
  /** What each option means, and its default. */
  readonly options: Readonly<Record<Name, readonly [meaning: string, value: string]>>
  /** What is installed first. */
  readonly programs: readonly Program[]
  /** Runs it, and returns figures to print. */
  run(
    values: Readonly<Record<Name, string>>,
    how: { seed: number; say: Say },
  ): Promise<Readonly<Record<string, number>>>
}

export type Say = (line: string) => void

const say: Say = (line) => process.stdout.write(`${line}\n`)

/** Reads the options of this process, runs the command, and prints its figures and how long it took. */
export async function runSeeded<Name extends string>(command: SeededCommand<Name>): Promise<void> {
  const { name, options, programs } = command
  const all: Readonly<Record<string, readonly [meaning: string, value: string]>> = {
    ...options,
    seed: ['what chooses at random; the same seed chooses the same', String(Date.now() % 1_000_000_000)],
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
  const found = values as Readonly<Record<string, string>>
  const seed = Number(found['seed'])
  say(`seed ${seed}`)
  const started = performance.now()
  const figures = await command.run(found, { seed, say })
  for (const [figure, value] of Object.entries(figures)) say(`${figure}: ${Math.round(value)}`)
  say(`seconds: ${Math.round((performance.now() - started) / 1000)}`)
}

/** Installs programs without which a part of a command is left out. Returns whether they are there, and says why not. */
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
