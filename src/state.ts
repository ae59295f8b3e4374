import { join } from 'node:path'
import { createBlobs, type Blobs } from './builds/blobs.ts'
import { openVersionIndex, type VersionIndex } from './catalog/versions.ts'
import type { Catalog } from './catalog/catalog.ts'
import { openConfiguredCatalog } from './catalogs.ts'
import type { Config } from './config.ts'
import type { Listener } from './postgres/listener.ts'
import type { Postgres } from './postgres/pool.ts'
import type { BlobStore } from './store/store.ts'
import { createHasher } from './store/hasher.ts'
import { openStore } from './stores.ts'
import { createUses, type Uses } from './upkeep/uses.ts'

/** The state of a registry: blobs and catalog. Front ends and workers share it, in one process or in several. */
export type State = {
  readonly store: BlobStore
  readonly catalog: Catalog
  /** The database of the catalog; undefined if it is a SQLite file. */
  readonly postgres: Postgres | undefined
  /** Notifications of that database. */
  readonly listener: Listener | undefined
  readonly blobs: Blobs
  /** The index of versions of packages by commit. */
  readonly versions: VersionIndex
  /** Blobs that this process is using, for concurrent cleanups. */
  readonly uses: Uses
  close(): Promise<void>
}

export type StateOptions = {
  readonly warn: (line: string) => void
  /** Milliseconds to wait for the lock of another process on the catalog; short for servers. */
  readonly lockPatience?: number | undefined
}

/** @throws CONFIG_INVALID, STORE_UNAVAILABLE, STORE_FULL */
export async function openState(config: Config, { warn, lockPatience }: StateOptions): Promise<State> {
  const store = await openStore(config)
  const { catalog, postgres, listener } = await openConfiguredCatalog(config, {
    warn,
    lockPatience,
    listens: true,
  })
  const versions = openVersionIndex(join(config.NIXERY_DATA, 'versions.db'), warn)
  const uses = createUses()
  const hasher = createHasher(store)
  const blobs = createBlobs({ store, catalog, hasher, take: uses.take })
  return {
    store,
    catalog,
    postgres,
    listener,
    blobs,
    uses,
    versions,
    async close() {
      await hasher.close()
      versions.close()
      await catalog.close()
    },
  }
}
