import type { Catalog } from './catalog.ts'
import { catalogPolicies } from './policies.ts'
import { connect, type ConnectionOptions, type Database } from './connection.ts'
import { withPolicies } from './policy.ts'

/**
 * A catalog over a database that may fail: locked by another process, out of space, read-only, or damaged. Each method
 * does then what its policy says; the database is left alone for a while, since one that is locked would hold up every
 * answer for as long as it waits for the lock. What could not be forgotten or replaced is not believed from then on,
 * and is forgotten when the database is back.
 * @throws what opening the database does, if that is not damage and will not pass by itself
 */
export async function openTolerantCatalog(database: Database, options: ConnectionOptions): Promise<Catalog> {
  const connection = await connect(database, options)
  return {
    ...withPolicies(catalogPolicies, (work) => connection.run(work), connection.doubts),
    close: () => connection.close(),
  }
}
