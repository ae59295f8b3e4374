import type { Catalog } from '../catalog/catalog.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import type { Config } from '../config.ts'
import { verifiedReader, type ReadBlob } from '../export/verified.ts'
import type { BlobStore } from '../store/store.ts'
import { openStore } from '../stores.ts'
import { openWorkshop as openParts, type Workshop as Parts, type WorkshopOptions } from '../workshop.ts'
import { requireCatalog } from './settings.ts'

// Milliseconds to wait for a catalog that another process has locked: nobody else waits for a command.
const lockPatience = 10_000

/** All that builds images, with blobs checked as they are read. */
export type Workshop = Parts & { readonly read: ReadBlob }

/** The same parts over the same folders as the server's, so that a command gives the server's digests. */
export async function openWorkshop(
  config: Config,
  { listener, note, signal }: Omit<WorkshopOptions, 'warn'>,
): Promise<Workshop> {
  const parts = await openParts(config, { listener, note, warn: note, signal, lockPatience })
  const { store, catalog } = parts
  const read = verifiedReader(
    (digest) => store.read(digest),
    async (digest) => {
      await catalog.forgetBlob(digest)
      await store.delete(digest)
    },
  )
  return { ...parts, read }
}

/**
 * The store and catalog of a server, for a command that cleans up after it. The caller closes the catalog.
 * @throws CONFIG_INVALID where there is no catalog, STORE_UNAVAILABLE
 */
export async function openStorage(
  config: Config,
  warn: (line: string) => void,
): Promise<{ readonly store: BlobStore; readonly catalog: Catalog }> {
  const file = await requireCatalog(config)
  const store = await openStore(config)
  return { store, catalog: await openSqliteCatalog(file, { warn, busyTimeout: lockPatience }) }
}
