import { access, readFile } from 'node:fs/promises'
import { catalogFile } from '../catalogs.ts'
import { configWarnings, readConfig, type Config } from '../config.ts'
import { parseEnvironmentFile } from '../config/environment-file.ts'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { Progress } from './progress.ts'

const fromFile = new Map<string, string>()

/**
 * Adds the variables of a file of NAME=value lines to the environment, as `systemd` and `docker --env-file` do.
 * Variables that are already set take precedence.
 * @throws CONFIG_INVALID if the file cannot be read, or a line is not an assignment
 */
export async function loadEnvironmentFile(file: string): Promise<void> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new NixeryError(
      'CONFIG_INVALID',
      `cannot read ${file}: ${systemErrorCode(error) ?? String(error)}`,
      {
        cause: error,
        hint: '--env-file expects a file of NAME=value lines',
      },
    )
  })
  for (const [name, value] of parseEnvironmentFile(text, file)) {
    if (process.env[name] !== undefined) continue
    process.env[name] = value
    fromFile.set(name, file)
  }
}

/** The file that an environment variable was read from; undefined if it was not read from a file. */
export const fileOf = (name: string): string | undefined => fromFile.get(name)

/**
 * Reads the configuration, and warns about variables that look like settings but are not.
 * @param overrides variables that the command's own options set
 * @throws CONFIG_INVALID
 */
export function readSettings(progress: Progress, overrides: Readonly<Record<string, string>> = {}): Config {
  const environment = { ...process.env, ...overrides }
  const config = readConfig(environment)
  for (const line of configWarnings(environment)) progress.note(line)
  return config
}

/**
 * Checks for a catalog. Without this check, clean-up commands would find nothing to do in a wrong folder, and succeed.
 * @throws CONFIG_INVALID if there is no catalog
 */
export async function requireCatalog(config: Config): Promise<void> {
  // The operator creates the database, with or without tables.
  if (config.NIXERY_DATABASE_URL !== undefined) return
  await access(catalogFile(config)).catch((error: unknown) => {
    throw new NixeryError('CONFIG_INVALID', `no catalog found in ${config.NIXERY_DATA}`, {
      cause: error,
      hint: 'set NIXERY_DATA to the data folder of the server, or pass its settings with --env-file FILE',
    })
  })
}
