import { posix } from 'node:path'
import { sitePackages, sitePerl } from './layout.ts'
import { holdsFolder, type Placed, type Unit, type Units } from './units.ts'

/** The interpreter in a script's first line: `/usr/bin/env perl -w` → perl, -w. */
function parseShebang(line: string): { name: string; rest: string } {
  const words = line.split(/\s+/).filter((word) => word !== '')
  if (posix.basename(words[0] ?? '') === 'env') words.shift()
  return { name: posix.basename(words[0] ?? ''), rest: words.slice(1).join(' ') }
}

/** The interpreter of a script: a unit, the program in its bin/, and its arguments. */
export type Interpreter = { unit: string; program: string; rest: string }

/**
 * The interpreter of a script, if the script may refer to it. Examples and optional tools use interpreters that
 * are not dependencies in Debian, and not here either; except for the shell, which every Debian system has.
 * `holders` maps programs to units; `reachable` are the units that this one depends on.
 */
export function interpreterOf(
  unit: Unit,
  script: Placed,
  holders: ReadonlyMap<string, string>,
  reachable: ReadonlySet<string>,
): Interpreter | undefined {
  // Documents are not executed.
  if (script.kind !== 'file' || script.shebang === undefined || script.to.startsWith('share/doc/'))
    return undefined
  const { name, rest } = parseShebang(script.shebang)
  const holder = name === 'sh' ? 'bash' : holders.get(name)
  if (holder === undefined) return undefined
  const allowed = holder === 'bash' || holder === unit.key || reachable.has(holder)
  return allowed ? { unit: holder, program: name, rest } : undefined
}

// The search paths for modules by language: the variable, the folders, and whether the unit is the language itself,
// which finds its own modules.
const languages: Record<string, { variable: string; folders: string[] }> = {
  perl: { variable: 'PERL5LIB', folders: [sitePerl] },
  python3: { variable: 'PYTHONPATH', folders: [sitePackages] },
}

/**
 * The wrappers of a unit's programs: those of its definition, and one for each script with modules in other units,
 * which names these units. Program → variable → value, with `@unit@` for store paths.
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
