import { posix } from 'node:path'
import { sitePackages, sitePerl } from './layout.ts'
import { holdsFolder, type Placed, type Unit, type Units } from './units.ts'

/** The interpreter that a script's first line names: `/usr/bin/env perl -w` → perl, -w. */
function parseShebang(line: string): { name: string; rest: string } {
  const words = line.split(/\s+/).filter((word) => word !== '')
  if (posix.basename(words[0] ?? '') === 'env') words.shift()
  return { name: posix.basename(words[0] ?? ''), rest: words.slice(1).join(' ') }
}

/** Where the interpreter of a script is: a unit, the program in its bin/, and the arguments that follow it. */
export type Interpreter = { unit: string; program: string; rest: string }

/**
 * The interpreter of a script, if the script may refer to it. Examples and optional tools name interpreters that
 * Debian does not count as dependencies, and neither do we; except for the shell, which every Debian has.
 * `holders` says which unit has a program; `reachable` are the units that this one depends on.
 */
export function interpreterOf(
  unit: Unit,
  script: Placed,
  holders: ReadonlyMap<string, string>,
  reachable: ReadonlySet<string>,
): Interpreter | undefined {
  // Documents are only to be read.
  if (script.kind !== 'file' || script.shebang === undefined || script.to.startsWith('share/doc/'))
    return undefined
  const { name, rest } = parseShebang(script.shebang)
  const holder = name === 'sh' ? 'bash' : holders.get(name)
  if (holder === undefined) return undefined
  const allowed = holder === 'bash' || holder === unit.key || reachable.has(holder)
  return allowed ? { unit: holder, program: name, rest } : undefined
}

// Where a language looks for modules: the variable, the folders, and whether the unit is the language itself,
// which knows its own.
const languages: Record<string, { variable: string; folders: string[] }> = {
  perl: { variable: 'PERL5LIB', folders: [sitePerl] },
  python3: { variable: 'PYTHONPATH', folders: [sitePackages] },
}

/**
 * The wrappers of a unit's programs: those of its definition, and for scripts whose modules lie in other units one
 * that names these. Program → variable → value, with `@unit@` for store paths.
 */
export function wrappersOf(
  unit: Unit,
  units: Units,
  reachable: ReadonlySet<string>,
): Record<string, Record<string, string>> {
  const wrappers = { ...unit.definition.wrappers }
  for (const script of unit.placed.values()) {
    if (script.kind !== 'file' || script.shebang === undefined || posix.dirname(script.to) !== 'bin') continue
    const { name } = parseShebang(script.shebang)
    const language = languages[name]
    if (language === undefined) continue
    const folders = [unit.key, ...[...reachable].sort()].flatMap((key) => {
      const holder = units.get(key)
      if (holder === undefined || key === name) return []
      return language.folders
        .filter((folder) => holdsFolder(holder, folder))
        .map((folder) => `${key === unit.key ? '@out@' : `@${key}@`}/${folder}`)
    })
    if (folders.length === 0) continue
    const { variable } = language
    const value = `${folders.join(':')}\${${variable}:+:$${variable}}`
    wrappers[script.to] = { [variable]: value, ...wrappers[script.to] }
  }
  return wrappers
}
