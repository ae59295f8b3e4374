import type { Catalog } from '../catalog/catalog.ts'
import { openConfiguredCatalog } from '../catalogs.ts'
import type { Config } from '../config.ts'
import { verifiedReader, type ReadBlob } from '../export/verified.ts'
import type { BlobStore } from '../store/store.ts'
import { openStore } from '../stores.ts'
import { openState, type State } from '../state.ts'
import { openWorker, type Worker, type WorkerOptions } from '../worker.ts'
import { requireCatalog } from './settings.ts'

// Milliseconds to wait for a catalog that another process has locked. Longer than in the server: no client is waiting.
const lockPatience = 10_000

/** A worker and its state. `read` verifies blobs while it reads them. */
export type Workshop = Omit<State, 'close'> & Worker & { readonly read: ReadBlob }

/** Opens what the server opens, over the same folders, so that a command produces the same digests as the server. */
export async function openWorkshop(
  config: Config,
  { listener, note, signal }: Omit<WorkerOptions, 'warn'>,
): Promise<Workshop> {
  const state = await openState(config, { warn: note, lockPatience })
  // The server's log reports which settings Nix needs here; with each command this would be noise.
  const noteSetting = () => {}
  const worker = await openWorker(config, state, { listener, note, noteSetting, warn: note, signal }).catch(
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
 * Opens a server's store and catalog, for commands that clean up. The caller closes the catalog.
 * @throws CONFIG_INVALID if there is no catalog, STORE_UNAVAILABLE
 */
export async function openStorage(
  config: Config,
  warn: (line: string) => void,
): Promise<{ readonly store: BlobStore; readonly catalog: Catalog }> {
  await requireCatalog(config)
  const store = await openStore(config)
  const { catalog } = await openConfiguredCatalog(config, { warn, lockPatience })
  return { store, catalog }
}
