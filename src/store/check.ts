import { randomUUID } from 'node:crypto'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { digestOf } from '../image/digest.ts'
import { storeError, type BlobStore } from './store.ts'

const nothing = digestOf(new Uint8Array())

/**
 * Whether a store works: a file can be spooled, which lies on the disk of a store of files, and the store answers.
 * Nothing of it stays.
 * @throws STORE_FULL, STORE_UNAVAILABLE
 */
export async function checkStore(store: Pick<BlobStore, 'spoolDirectory' | 'stat'>): Promise<void> {
  const file = join(store.spoolDirectory, `check-${randomUUID()}`)
  try {
    await writeFile(file, 'written to see whether it can be', { flag: 'wx' })
  } catch (error) {
    throw storeError(error, 'spooling a file')
  } finally {
    await rm(file, { force: true }).catch(() => {}) // the first error is the one to tell
  }
  await store.stat(nothing)
}
