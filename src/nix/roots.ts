import { randomUUID } from 'node:crypto'
import { lstat, mkdir, rm, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { NixeryError } from '../errors.ts'
import { removeOld } from '../fs/remove-old.ts'
import type { StorePath } from '../image/store-path.ts'

/**
 * Garbage collector roots, in a folder of this program's own. Nix creates them when it realises outputs. They are kept
 * for a while after their use, so that outputs that are needed again are protected without starting a process.
 */
export type Roots = {
  /**
   * Protects outputs until `release` is called.
   * @param realise realises the outputs that are not protected yet, and creates their roots, the first at the given path.
   *   Not called if all are protected
   * @returns `fresh`: the outputs that were not protected before; cached facts about them may be out of date
   */
  protect<T extends { readonly outputPath: StorePath }>(
    wanted: readonly T[],
    realise: (missing: readonly T[], root: string) => Promise<void>,
  ): Promise<{ readonly fresh: readonly T[]; readonly release: () => Promise<void> }>
  /** Removes all unused roots; roots in use are removed when they are released. */
  close(): Promise<void>
}

/** The roots of one realisation. */
type Folder = {
  readonly path: string
  readonly protects: readonly StorePath[]
  users: number
  usedAt: number
}

const mostKept = 5_000
// Milliseconds. Roots of a killed process are removed after two days, when nothing can be using them.
const abandonedRoots = 48 * 3_600_000

/**
 * @param options.keep seconds for which roots are kept after their use
 * @param options.note called with a line if old roots cannot be removed
 */
export function createRoots(
  directory: string,
  { keep, note }: { keep: number; note: (line: string) => void },
): Roots {
  // The least recently used first.
  const folders = new Set<Folder>()
  const byPath = new Map<StorePath, Folder>()
  let closed = false
  const swept = removeOld(directory, { olderThan: abandonedRoots }).catch((error: unknown) =>
    note(`old garbage collector roots cannot be removed: ${String(error)}`),
  )

  const drop = async (folder: Folder) => {
    folders.delete(folder)
    for (const path of folder.protects) if (byPath.get(path) === folder) byPath.delete(path)
    await rm(folder.path, { recursive: true, force: true })
  }
  const expire = async () => {
    const oldest = performance.now() - keep * 1000
    for (const folder of folders) {
      const surplus = closed || folder.usedAt <= oldest || folders.size > mostKept
      if (folder.users === 0 && surplus) await drop(folder)
    }
  }
  const use = (folder: Folder) => {
    folder.users += 1
    folders.delete(folder)
    folders.add(folder)
  }
  const make = async <T extends { readonly outputPath: StorePath }>(
    missing: readonly T[],
    realise: (missing: readonly T[], root: string) => Promise<void>,
  ): Promise<Folder> => {
    const path = await makeFolder(directory)
    try {
      await realise(missing, join(path, 'root'))
    } catch (error) {
      await rm(path, { recursive: true, force: true })
      throw error
    }
    const protects = missing.map(({ outputPath }) => outputPath)
    const folder = { path, protects, users: 0, usedAt: performance.now() }
    for (const each of protects) byPath.set(each, folder)
    return folder
  }

  return {
    async protect(wanted, realise) {
      await swept
      const used = new Set<Folder>()
      const release = async () => {
        for (const folder of used) {
          folder.users -= 1
          folder.usedAt = performance.now()
        }
        await expire()
      }
      const fresh = []
      for (const each of wanted) {
        const folder = byPath.get(each.outputPath)
        if (!folder) fresh.push(each)
        else if (!used.has(folder)) {
          use(folder)
          used.add(folder)
        }
      }
      try {
        // Roots that were removed by hand no longer protect anything.
        const gone = await Promise.all(
          [...used].map(async (folder) => [folder, await isWhole(folder)] as const),
        )
        for (const [folder, whole] of gone) {
          if (whole) continue
          fresh.push(...wanted.filter(({ outputPath }) => byPath.get(outputPath) === folder))
          for (const path of folder.protects) if (byPath.get(path) === folder) byPath.delete(path)
          folder.usedAt = 0
        }
        if (fresh.length > 0) {
          const folder = await make(fresh, realise)
          use(folder)
          used.add(folder)
        }
      } catch (error) {
        await release()
        throw error
      }
      return { fresh, release }
    },

    async close() {
      closed = true
      await expire()
    },
  }
}

/** Whether the roots and their targets exist; marks them as used, for other processes that remove old roots. */
async function isWhole({ path, protects }: Folder): Promise<boolean> {
  const now = new Date()
  try {
    await Promise.all([utimes(path, now, now), ...protects.map((each) => lstat(each))])
    return true
  } catch {
    return false // whatever the error is: they are recreated, and a failure of that is reported
  }
}

async function makeFolder(directory: string): Promise<string> {
  const folder = join(directory, randomUUID())
  try {
    await mkdir(folder, { recursive: true })
  } catch (error) {
    throw new NixeryError('STORE_UNAVAILABLE', 'the folder of garbage collector roots is not writable', {
      cause: error,
      hint: 'the operator must give this program write access to the folder NIXERY_DATA',
    })
  }
  return folder
}
