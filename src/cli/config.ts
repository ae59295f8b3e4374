import { impliedSettings, variables, type Config, type Variable } from '../config.ts'
import { defineCommand } from './command.ts'
import { fileOf } from './settings.ts'

export const setUp = defineCommand({
  usesFolders: false,
  run(context) {
    const rows = effectiveSettings(context.config(), process.env, variables())
    context.print(rows, table(rows))
    return Promise.resolve()
  },
})

/** One effective setting: its value as it would be written in the environment, and where it comes from. */
export type EffectiveSetting = { readonly name: string; readonly value: string; readonly source: string }

/** Every setting that has a value. Secrets, and credentials in URLs, are omitted. */
function effectiveSettings(
  config: Config,
  environment: Readonly<Record<string, string | undefined>>,
  all: readonly Variable[],
): EffectiveSetting[] {
  const implied = impliedSettings(environment)
  return all.flatMap(({ name, default: ofAll, secret }) => {
    const usual = implied[name] ?? ofAll
    const written = environment[name]
    const isSet = written !== undefined && written !== ''
    const value = isSet ? written : usual || textOf(config[name as keyof Config])
    if (value === '') return []
    const file = fileOf(name)
    const source = isSet ? (file === undefined ? 'environment' : file) : 'default'
    return [{ name, value: secret ? '(secret)' : withoutCredentials(value), source }]
  })
}

/** The text of values that are not strings in the configuration: folders, and the address to listen on. */
const textOf = (value: unknown): string =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : ''

/** Removes the user and the query from a URL, because both may contain credentials. */
const withoutCredentials = (value: string): string =>
  value.replace(/:\/\/[^/@\s]+@/g, '://…@').replace(/(:\/\/[^\s?]*\?)\S+/g, '$1…')

function table(rows: readonly EffectiveSetting[]): string {
  const width = (column: 'name' | 'value') => Math.max(...rows.map((row) => row[column].length))
  const [names, values] = [width('name'), Math.min(width('value'), 60)]
  return rows
    .map(({ name, value, source }) => `${name.padEnd(names)}  ${value.padEnd(values)}  ${source}`)
    .join('\n')
}
