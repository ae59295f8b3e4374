import { randomUUID } from 'node:crypto'
import { lstat, mkdir, rm, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { NixeryError } from '../errors.ts'
import { removeOld } from '../fs/remove-old.ts'
import type { StorePath } from '../image/store-path.ts'

/**
 * Garbage collector roots, in a folder of this program's own. Nix makes them when it realises; they are kept for a
 * while after their use, so that what is asked for again is protected without starting a process.
 */
export type Roots = {
  /**
   * Protects outputs until `release` is called.
   * @param realise makes what no root protects yet, and its roots, the first under the given path. It is not called
   *   when nothing is lacking
   * @returns `fresh`: what was lacking, of which remembered facts may be older than the path itself
   */
  protect<T extends { readonly outputPath: StorePath }>(
    wanted: readonly T[],
    realise: (lacking: readonly T[], root: string) => Promise<void>,
  ): Promise<{ readonly fresh: readonly T[]; readonly release: () => Promise<void> }>
  /** Removes all roots that are not in use; those in use go with their release. */
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
// Milliseconds. A process that was killed leaves its roots; two days later they protect nothing that is in use.
const abandonedRoots = 48 * 3_600_000

/**
 * @param options.keep seconds for which roots outlive their use
 * @param options.note gets a line when old roots cannot be removed
 */
export function createRoots(
  directory: string,
  { keep, note }: { keep: number; note: (line: string) => void },
): Roots {
  // The longest unused first.
  const folders = new Set<Folder>()
  const byPath = new Map<StorePath, Folder>()
  let closed = false
  let swept: Promise<unknown> | undefined
  const sweep = () =>
    (swept ??= removeOld(directory, { olderThan: abandonedRoots }).catch((error: unknown) =>
      note(`old garbage collector roots cannot be removed: ${String(error)}`),
    ))

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
    lacking: readonly T[],
    realise: (lacking: readonly T[], root: string) => Promise<void>,
  ): Promise<Folder> => {
    const path = await makeFolder(directory)
    try {
      await realise(lacking, join(path, 'root'))
    } catch (error) {
      await rm(path, { recursive: true, force: true })
      throw error
    }
    const protects = lacking.map(({ outputPath }) => outputPath)
    const folder = { path, protects, users: 0, usedAt: performance.now() }
    for (const each of protects) byPath.set(each, folder)
    return folder
  }

  return {
    async protect(wanted, realise) {
      await sweep()
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
        // What somebody has removed by hand protects nothing any more.
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

/** Whether the roots and what they protect are there; marks them as used, for other processes that sweep. */
async function isWhole({ path, protects }: Folder): Promise<boolean> {
  const now = new Date()
  try {
    await Promise.all([utimes(path, now, now), ...protects.map((each) => lstat(each))])
    return true
  } catch {
    return false // whatever is wrong with it: made anew, and told if that fails, too
  }
}

async function makeFolder(directory: string): Promise<string> {
  const folder = join(directory, randomUUID())
  try {
    await mkdir(folder, { recursive: true })
  } catch (error) {
    throw new NixeryError('STORE_UNAVAILABLE', 'the folder of garbage collector roots cannot be written', {
      cause: error,
      hint: 'the operator must let this program write to the folder NIXERY_DATA',
    })
  }
  return folder
}
