import { Kysely } from 'kysely'
import { openPool } from '../postgres/pool.ts'

// Milliseconds for a statement at least, even if leases are short.
const shortest = 1_000

/**
 * A connection of its own for renewing leases: a renewal must neither wait behind other statements nor for a server that is
 * gone. It is made when it is first used.
 * @param lease the length of a lease in milliseconds; a statement counts as lost after a quarter of it, so that it can be
 *   repeated over a new connection before the lease ends
 * @throws SETUP_FAILED when the npm package of PostgreSQL is missing
 */
export async function openRenewals(
  url: string,
  lease: number,
): Promise<{ readonly db: Kysely<unknown>; close(): Promise<void> }> {
  const pool = await openPool({ url, most: 1, queryTimeout: Math.max(lease / 4, shortest) })
  return { db: new Kysely<unknown>({ dialect: pool.dialect }), close: () => pool.close() }
}
