import { existsSync } from 'node:fs'
import Database from 'better-sqlite3'

// The maximum number of programs of one package, and the maximum length of a program's name.
const mostPrograms = 40
const longestName = 80

/**
 * The programs of packages by attribute, from the file `programs.sqlite` that NixOS channel tarballs contain for
 * `command-not-found`. Empty if the file is missing or damaged.
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
