import { existsSync } from 'node:fs'
import Database from 'better-sqlite3'

// Programs of one package that are kept, and characters of the name of one.
const mostPrograms = 40
const longestName = 80

/**
 * The programs of packages, by attribute, from the `programs.sqlite` that the tarballs of NixOS channels have for
 * `command-not-found`. Empty without that file, or if it is damaged.
 */
export function programsIn(file: string | undefined, system: string): Map<string, string[]> {
  const found = new Map<string, string[]>()
  if (file === undefined || !existsSync(file)) return found
  try {
    const database = new Database(file, { readonly: true, fileMustExist: true })
    try {
      const rows = database
        .prepare<[string], { name: string; package: string }>(
          'select name, package from Programs where system = ? order by package, name',
        )
        .iterate(system)
      for (const { name, package: attribute } of rows) {
        if (name.length > longestName || /[\p{Cc}\n]/u.test(name)) continue
        const programs = found.get(attribute) ?? []
        if (programs.length < mostPrograms) programs.push(name)
        found.set(attribute, programs)
      }
    } finally {
      database.close()
    }
  } catch {
    return new Map()
  }
  return found
}
