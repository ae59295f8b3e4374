import { open } from 'node:fs/promises'

/** Syncs a folder. Without this, renames and removals in it may not survive a power failure. */
export async function syncDirectory(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
