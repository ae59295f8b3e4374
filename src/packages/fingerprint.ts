import { createHash } from 'node:crypto'
import { lstat, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { byText } from '../image/store-path.ts'

/**
 * A short text that changes when anything below a folder does: names, kinds, modes, sizes, times of change, and
 * targets of links. Contents are not read: a change of content cannot keep a file's ctime. `.git` is left out,
 * since a commit changes no package.
 */
export async function fingerprint(folder: string): Promise<string> {
  const sha256 = createHash('sha256')
  const walk = async (directory: string, below: string): Promise<void> => {
    const names = (await readdir(directory)).filter((name) => name !== '.git').sort(byText)
    const stats = await Promise.all(names.map((name) => lstat(join(directory, name), { bigint: true })))
    for (const [index, name] of names.entries()) {
      const stat = stats[index]
      if (!stat) continue
      const path = join(directory, name)
      const target = stat.isSymbolicLink() ? await readlink(path) : ''
      const facts = stat.isDirectory() ? [stat.mode] : [stat.mode, stat.size, stat.ctimeNs]
      sha256.update(`${JSON.stringify([below + name, target, facts.map(String)])}\n`)
      if (stat.isDirectory()) await walk(path, `${below}${name}/`)
    }
  }
  await walk(folder, '')
  return sha256.digest('hex')
}
