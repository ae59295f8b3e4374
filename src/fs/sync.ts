import { open } from 'node:fs/promises'

/** Makes renames and removals in a folder durable: a rename survives a power failure only when its folder was synced. */
export async function syncDirectory(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
