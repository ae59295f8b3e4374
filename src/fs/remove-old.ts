import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../errors.ts'

/** After this time in milliseconds without a change, the writer of an unfinished file is considered dead. */
export const abandonedAfter = 3_600_000

export type OldEntries = {
  /** The minimum age in milliseconds, since the last change of a file or of the list of a folder's entries. */
  readonly olderThan: number
  /** Selects names; all by default. */
  readonly only?: (name: string) => boolean
  /** Whether to remove files in all folders below, but no folders. */
  readonly recursive?: boolean
}

/**
 * Removes files that killed processes have left in a folder. Other processes can use the folder, and remove files from
 * it, at the same time. A missing folder is not an error.
 * @returns the number of entries removed
 * @throws the failed system call
 */
export async function removeOld(
  folder: string,
  { olderThan, only = () => true, recursive = false }: OldEntries,
): Promise<number> {
  const limit = Date.now() - olderThan
  const entries = await readdir(folder, { recursive, withFileTypes: true }).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return []
    throw error
  })
  let removed = 0
  for (const entry of entries) {
    if (!only(entry.name) || (recursive && entry.isDirectory())) continue
    const path = join(entry.parentPath, entry.name)
    const stats = await lstat(path).catch(() => undefined) // another process may have just moved it
    if (!stats || stats.mtimeMs >= limit) continue
    await rm(path, { recursive: true, force: true })
    removed += 1
  }
  return removed
}
