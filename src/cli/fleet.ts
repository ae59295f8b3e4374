import type { Config } from '../config.ts'
import { NixeryError } from '../errors.ts'
import { openPool, type Postgres } from '../postgres/pool.ts'

/**
 * Runs a command's work on the database that the servers share.
 * @throws CONFIG_INVALID if there is none
 */
export async function withDatabase<T>(config: Config, work: (postgres: Postgres) => Promise<T>): Promise<T> {
  const { NIXERY_DATABASE_URL: url } = config
  if (url === undefined) {
    throw new NixeryError('CONFIG_INVALID', 'NIXERY_DATABASE_URL is not set: this server works alone', {
      hint: 'pass the settings of the servers with --env-file FILE',
    })
  }
  const pool = await openPool({ url, most: 2 })
  try {
    return await work(pool)
  } finally {
    await pool.close()
  }
}
