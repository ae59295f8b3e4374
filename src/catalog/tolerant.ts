import type { Catalog } from './catalog.ts'
import { catalogPolicies } from './policies.ts'
import { connect, type ConnectionOptions, type Database } from './connection.ts'
import { withPolicies } from './policy.ts'

/**
 * Opens a catalog in a database that may fail: locked by another process, out of space, read-only, or damaged. Then each
 * method follows its policy, and the database is not used for a while, because a locked one would delay every response
 * while waiting for the lock. Rows that could not be removed or replaced are ignored from then on, and are removed when
 * the database is back.
 * @throws the error of opening the database, unless it is damage or temporary
 */
export async function openTolerantCatalog(database: Database, options: ConnectionOptions): Promise<Catalog> {
  const connection = await connect(database, options)
  return {
    ...withPolicies(catalogPolicies, (work) => connection.run(work), connection.doubts),
    close: () => connection.close(),
  }
}
