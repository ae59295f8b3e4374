import { Kysely } from 'kysely'
import { openPool } from '../postgres/pool.ts'

// The minimum timeout of a statement in milliseconds, even for short leases.
const shortest = 1_000

/**
 * A separate connection for renewing leases: a renewal must not wait for other statements, or for a vanished server. It
 * is opened on first use.
 * @param lease the length of a lease in milliseconds; a statement counts as lost after a quarter of it, so that it can
 * be retried over a new connection before the lease expires
 * @throws SETUP_FAILED when the npm package of PostgreSQL is missing
 */
export async function openRenewals(
  url: string,
  lease: number,
): Promise<{ readonly db: Kysely<unknown>; close(): Promise<void> }> {
  const pool = await openPool({ url, most: 1, queryTimeout: Math.max(lease / 4, shortest) })
  return { db: new Kysely<unknown>({ dialect: pool.dialect }), close: () => pool.close() }
}
