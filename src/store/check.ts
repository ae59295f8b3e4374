import { randomUUID } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { digestOf } from '../image/digest.ts'
import { storeError, type BlobStore } from './store.ts'

const emptyBlob = digestOf(new Uint8Array())

/**
 * Checks that a store works: a file can be written to the spool folder, which is on the same disk as a file store's
 * blobs, and the store answers. Leaves nothing behind.
 * @throws STORE_FULL, STORE_UNAVAILABLE
 */
export async function checkStore(store: Pick<BlobStore, 'spoolDirectory' | 'stat'>): Promise<void> {
  const file = join(store.spoolDirectory, `check-${randomUUID()}`)
  try {
    await writeFile(file, 'test of the store', { flag: 'wx' })
  } catch (error) {
    throw storeError(error, 'spooling a file')
  } finally {
    await rm(file, { force: true }).catch(() => {}) // report the first error
  }
  await store.stat(emptyBlob)
}
