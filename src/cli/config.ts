import type { Command } from 'commander'
import { configWarnings, readConfig, variables, type Config, type Variable } from '../config.ts'
import { jsonLine } from '../text/json-line.ts'
import { plainText } from '../text/plain.ts'
import { exitCodesHelp, runCommand } from './exit.ts'
import { createProgress } from './progress.ts'
import { fileOf } from './settings.ts'

export function addConfigCommand(program: Command): void {
  program
    .command('config')
    .description('print the settings in force, and where each comes from')
    .option('--json', 'as JSON')
    .addHelpText('after', exitCodesHelp)
    .action(async ({ json = false }: { json?: boolean }) => {
      const progress = createProgress({ json })
      await runCommand(progress, () => {
        const rows = settingsInForce(readConfig(process.env), process.env, variables())
        for (const line of configWarnings(process.env)) progress.note(line)
        process.stdout.write(json ? `${jsonLine(rows)}\n` : `${plainText(table(rows))}\n`)
        return Promise.resolve()
      })
    })
}

/** One setting: its value as it would be written in the environment, and where it comes from. */
export type SettingInForce = { readonly name: string; readonly value: string; readonly source: string }

/** Every setting that has a value. Secrets, and credentials inside addresses, are left out. */
export function settingsInForce(
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
  all: readonly Variable[],
): SettingInForce[] {
  return all.flatMap(({ name, default: usual, secret }) => {
    const written = environment[name]
    const isSet = written !== undefined && written !== ''
    const value = isSet ? written : usual || textOf(config[name as keyof Config])
    if (value === '') return []
    const file = fileOf(name)
    const source = isSet ? (file === undefined ? 'environment' : file) : 'default'
    return [{ name, value: secret ? '(secret)' : withoutCredentials(value), source }]
  })
}

/** Of what has no default of its own: folders, and the address to listen on. */
const textOf = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : ''

/** Of an address, the user and what stands behind `?` may be credentials. */
const withoutCredentials = (value: string): string =>
  value.replace(/:\/\/[^/@\s]+@/g, '://…@').replace(/(:\/\/[^\s?]*\?)\S+/g, '$1…')

function table(rows: readonly SettingInForce[]): string {
  const width = (column: 'name' | 'value') => Math.max(...rows.map((row) => row[column].length))
  const [names, values] = [width('name'), Math.min(width('value'), 60)]
  return rows
    .map(({ name, value, source }) => `${name.padEnd(names)}  ${value.padEnd(values)}  ${source}`)
    .join('\n')
}
