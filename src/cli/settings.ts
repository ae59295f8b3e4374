import { access, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { configWarnings, readConfig, type Config } from '../config.ts'
import { parseEnvironmentFile } from '../config/environment-file.ts'
import { NixeryError, systemErrorCode } from '../errors.ts'
import type { Progress } from './progress.ts'

const fromFile = new Map<string, string>()

/**
 * Adds the variables of a file of NAME=value lines to the environment, as `systemd` and `docker --env-file` do.
 * What the environment has already stays.
 * @throws CONFIG_INVALID when the file cannot be read, or a line of it assigns nothing
 */
export async function loadEnvironmentFile(file: string): Promise<void> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new NixeryError(
      'CONFIG_INVALID',
      `cannot read ${file}: ${systemErrorCode(error) ?? String(error)}`,
      {
        cause: error,
        hint: '--env-file names a file of NAME=value lines',
      },
    )
  })
  for (const [name, value] of parseEnvironmentFile(text, file)) {
    if (process.env[name] !== undefined) continue
    process.env[name] = value
    fromFile.set(name, file)
  }
}

/** The file that a variable of the environment was read from, if it was. */
export const fileOf = (name: string): string | undefined => fromFile.get(name)

/**
 * Reads the configuration, and notes variables that look like settings but are not.
 * @param overrides variables that the command's own options set
 * @throws CONFIG_INVALID
 */
export function readSettings(progress: Progress, overrides: Readonly<Record<string, string>> = {}): Config {
  const environment = { ...process.env, ...overrides }
  const config = readConfig(environment)
  for (const line of configWarnings(environment)) progress.note(line)
  return config
}

/** Where blobs are, for people. */
export function placeOfBlobs(config: Config): string {
  switch (config.NIXERY_STORAGE_BACKEND) {
    case 'filesystem':
      return config.STORAGE_PATH
    case 's3':
      return `the S3 bucket ${config.S3_BUCKET}`
    case 'gcs':
      return `the Google Cloud Storage bucket ${config.GCS_BUCKET}`
  }
}

/** The catalog's file, whether it exists or not. */
const catalogFile = ({ NIXERY_DATA }: Config): string => join(NIXERY_DATA, 'catalog.db')

/**
 * For commands that clean up after a server: in a folder that no server has used they would find nothing wrong.
 * @throws CONFIG_INVALID where there is no catalog
 */
export async function requireCatalog(config: Config): Promise<string> {
  const file = catalogFile(config)
  await access(file).catch((error: unknown) => {
    throw new NixeryError('CONFIG_INVALID', `there is no catalog in ${config.NIXERY_DATA}`, {
      cause: error,
      hint: 'set NIXERY_DATA to the data folder of the server, or name its settings with --env-file FILE',
    })
  })
  return file
}
