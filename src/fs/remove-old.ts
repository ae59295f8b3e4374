import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../errors.ts'

/** Milliseconds without a change after which the writer of an unfinished file is taken for dead. */
export const abandonedAfter = 3_600_000

export type OldEntries = {
  /** Milliseconds since the last change; of a folder, since an entry came or went. */
  readonly olderThan: number
  /** Which names; all, if not given. */
  readonly only?: (name: string) => boolean
  /** Whether files in folders below count too, and folders do not. */
  readonly recursive?: boolean
}

/**
 * Removes what killed processes have left in a folder. Other processes may be using the folder, and may do the same at
 * the same time. A folder that does not exist has nothing to remove.
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
    const found = await lstat(path).catch(() => undefined) // another process may just have moved it
    if (!found || found.mtimeMs >= limit) continue
    await rm(path, { recursive: true, force: true })
    removed += 1
  }
  return removed
}
