import type { ClientConfig, default as Pg } from 'pg'
import { NixeryError } from '../errors.ts'

type PgModule = typeof Pg

/** The `pg` package, loaded only where a database is used. @throws SETUP_FAILED when it is not installed */
export async function loadPg(): Promise<PgModule> {
  try {
    return (await import('pg')).default
  } catch (cause) {
    throw new NixeryError('SETUP_FAILED', 'the npm package pg, which PostgreSQL needs, is not installed', {
      cause,
      hint: 'install it with: npm install --include=optional',
    })
  }
}

const bigint = 20 // `select 'int8'::regtype::oid`

/**
 * The options of all connections. 64-bit integers are numbers: they are sizes, times and counts, which a number
 * represents exactly.
 * @param queryTimeout milliseconds after which a statement and its connection count as lost
 */
export const connectionOptions = (pg: PgModule, url: string, queryTimeout: number): ClientConfig => ({
  connectionString: url,
  fallback_application_name: 'nixery',
  connectionTimeoutMillis: 5_000,
  query_timeout: queryTimeout,
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
  types: {
    getTypeParser: (oid: number, format?: 'text' | 'binary') =>
      oid === bigint && format !== 'binary' ? Number : pg.types.getTypeParser(oid, format),
  },
})
