import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BaseProblem } from '../bases/errors.ts'
import type { BaseRegistry } from '../bases/registry.ts'
import { replaceFile } from '../fs/replace-file.ts'
import { formatBase, parseBase } from '../image/base.ts'
import { baseIn, withBase } from '../recipes/base-in-text.ts'
import { formatOf, recipeFiles } from '../recipes/folder.ts'

/** The result for the base of one file. */
export type Locked = { readonly file: string } & (
  | { readonly base: string; readonly changed: boolean }
  | { readonly problem: string }
)

/**
 * Appends the digests of bases to their tags in the files of a folder. Files without a base are not changed.
 * @param update whether tags with a digest are looked up again
 */
export async function lockFolder(
  folder: string,
  { registry, update, signal }: { registry: BaseRegistry; update: boolean; signal: AbortSignal },
): Promise<Locked[]> {
  const locked: Locked[] = []
  for (const file of await recipeFiles(folder)) {
    const path = join(folder, file)
    const format = formatOf(file) ?? 'toml'
    const text = await readFile(path, 'utf8')
    const given = baseIn(text, format)
    if (given === undefined) continue
    const base = parseBase(given)
    if (!base) {
      const problem = `base: ${JSON.stringify(given)} is not an image in a registry, such as "docker.io/library/debian:12"`
      locked.push({ file, problem })
      continue
    }
    if (base.tag === undefined || (base.digest !== undefined && !update)) {
      locked.push({ file, base: given, changed: false })
      continue
    }
    try {
      const digest = await registry.resolve(base, signal)
      const pinned = formatBase({ ...base, digest })
      const changed = digest === base.digest ? text : withBase(text, format, pinned)
      if (changed === undefined) {
        locked.push({
          file,
          problem: `base: write ${JSON.stringify(pinned)} yourself: its text contains escapes`,
        })
        continue
      }
      if (changed !== text) await replaceFile(path, changed)
      locked.push({ file, base: pinned, changed: changed !== text })
    } catch (error) {
      if (!(error instanceof BaseProblem)) throw error
      locked.push({ file, problem: `base: ${given}: ${error.message}` })
    }
  }
  return locked
}
