import { createHash } from 'node:crypto'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { systemErrorCode } from '../errors.ts'
import { byText } from '../image/store-path.ts'

/**
 * A short text that changes when anything below a folder does: names, kinds, modes, sizes, times of change, and
 * targets of links. Contents are not read: a change of content cannot keep a file's ctime. `.git` is left out,
 * since a commit changes no package. What vanishes meanwhile counts as not there.
 */
export async function fingerprint(folder: string): Promise<string> {
  const sha256 = createHash('sha256')
  const walk = async (names: readonly string[], directory: string, below: string): Promise<void> => {
    const sorted = names.filter((name) => name !== '.git').sort(byText)
    const stats = await Promise.all(
      sorted.map((name) => ifThere(lstat(join(directory, name), { bigint: true }))),
    )
    for (const [index, name] of sorted.entries()) {
      const stat = stats[index]
      if (!stat) continue
      const path = join(directory, name)
      const target = stat.isSymbolicLink() ? await ifThere(readlink(path)) : ''
      const facts = stat.isDirectory() ? [stat.mode] : [stat.mode, stat.size, stat.ctimeNs]
      sha256.update(`${JSON.stringify([below + name, target, facts.map(String)])}\n`)
      if (stat.isDirectory()) await walk((await ifThere(readdir(path))) ?? [], path, `${below}${name}/`)
    }
  }
  await walk(await readdir(folder), folder, '')
  return sha256.digest('hex')
}

// Not there, below what is no folder any more, or no link any more.
const gone: ReadonlySet<string | undefined> = new Set(['ENOENT', 'ENOTDIR', 'EINVAL'])

async function ifThere<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (gone.has(systemErrorCode(error))) return undefined
    throw error
  }
}
