import type { Catalog } from '../catalog/catalog.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import type { Config } from '../config.ts'
import { verifiedReader, type ReadBlob } from '../export/verified.ts'
import type { BlobStore } from '../store/store.ts'
import { openStore } from '../stores.ts'
import { openState, type State } from '../state.ts'
import { openWorker, type Worker, type WorkerOptions } from '../worker.ts'
import { requireCatalog } from './settings.ts'

// Milliseconds to wait for a catalog that another process has locked: nobody else waits for a command.
const lockPatience = 10_000

/** A worker and its state, with blobs checked as they are read. */
export type Workshop = Omit<State, 'close'> & Worker & { readonly read: ReadBlob }

/** The same parts over the same folders as the server's, so that a command gives the server's digests. */
export async function openWorkshop(
  config: Config,
  { listener, note, signal }: Omit<WorkerOptions, 'warn'>,
): Promise<Workshop> {
  const state = await openState(config, { warn: note, lockPatience })
  const worker = await openWorker(config, state, { listener, note, warn: note, signal }).catch(
    async (error: unknown) => {
      await state.close()
      throw error
    },
  )
  const { store, catalog } = state
  const read = verifiedReader(
    (digest) => store.read(digest),
    async (digest) => {
      await catalog.forgetBlob(digest)
      await store.delete(digest)
    },
  )
  return {
    ...state,
    ...worker,
    read,
    async close() {
      await worker.close()
      await state.close()
    },
  }
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
