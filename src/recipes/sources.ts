import { lstat, readdir, readFile, readlink, realpath, stat } from 'node:fs/promises'
import { join, sep } from 'node:path'
import { systemErrorCode } from '../errors.ts'
import { byText } from '../image/store-path.ts'
import { limits } from './fields.ts'
import type { Copied } from './normal.ts'

/** The contents of a `source`, and all paths that they depend on. */
export type ReadSource = { readonly copied: readonly Copied[]; readonly paths: readonly string[] }

/** A `source` that cannot be read; the message says why and what to do. */
export class SourceProblem extends Error {}

/**
 * Reads a file or a directory for a recipe. Links in a directory are copied as links.
 * @param folder the folder of recipes; nothing outside is read
 * @param room the maximum number of bytes
 * @throws SourceProblem
 */
export async function readSource(folder: string, source: string, room: number): Promise<ReadSource> {
  const inside = await realpath(folder)
  const start = await realpath(join(folder, source)).catch((error: unknown) => {
    throw new SourceProblem(
      systemErrorCode(error) === 'ENOENT'
        ? `${source} does not exist: paths are relative to the folder of the recipe`
        : `${source} cannot be read (${systemErrorCode(error)})`,
    )
  })
  if (start !== inside && !start.startsWith(inside + sep)) {
    throw new SourceProblem(`${source} is outside of the folder of the recipe: copy it into the folder`)
  }
  const copied: Copied[] = []
  const paths: string[] = []
  let left = room
  const read = async (path: string, name: string): Promise<void> => {
    if (copied.length >= limits.files)
      throw new SourceProblem(`${source} has more than ${limits.files} files`)
    paths.push(path)
    const found = await lstat(path)
    const executable = (found.mode & 0o100) !== 0
    if (found.isSymbolicLink()) copied.push({ inside: name, executable, link: await readlink(path) })
    else if (found.isDirectory()) {
      copied.push({ inside: name, executable, directory: true })
      for (const each of (await readdir(path)).sort(byText))
        await read(join(path, each), name === '' ? each : `${name}/${each}`)
    } else if (found.isFile()) {
      left -= found.size
      if (left < 0)
        throw new SourceProblem(
          `${source} has more than ${limits.fileBytes} bytes, including the other files of this recipe`,
        )
      copied.push({ inside: name, executable, bytes: await readFile(path) })
    } else
      throw new SourceProblem(
        `${source} is a device, socket or pipe: images have files, links and directories only`,
      )
  }
  await read(start, '')
  return { copied, paths }
}

/** A text that changes with a file or directory; `-` if it does not exist. */
export async function markOf(path: string): Promise<string> {
  try {
    const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true })
    return [ino, size, mtimeNs, ctimeNs].join(' ')
  } catch {
    return '-'
  }
}
