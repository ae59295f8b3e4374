import type { ArchiveEntry } from './archive.ts'
import { destinationOf, isBelow, linkTarget } from './layout.ts'
import type { UnitDefinition } from './definition.ts'

/** An archive as an input of a derivation. */
export type Source = { file: string; sha256: string; entries: ArchiveEntry[] }

/** A file or link of an archive that belongs to a store path. */
export type Placed = ArchiveEntry & {
  /** The path in the store path. */
  to: string
  /** The target of a link: a path in this store path or another one. */
  pointsTo: string | undefined
}

/** A store path to be built. */
export type Unit = {
  key: string
  definition: UnitDefinition
  pname: string
  version: string
  summary: string
  homepage: string | undefined
  sources: Source[]
  /** Its contents, by destination. */
  placed: Map<string, Placed>
  /** The units in Debian's Depends. */
  depends: string[]
}

/**
 * Maps the entries of a unit's archives to destinations. If several archives have a file for the same destination, the first
 * one wins; a link that would replace its own target is omitted.
 */
export function placeEntries(
  sources: readonly Source[],
  definition: UnitDefinition,
  triplet: string,
): Map<string, Placed> {
  const placed = new Map<string, Placed>()
  const entries = sources.flatMap((source) => source.entries).filter((entry) => entry.kind !== 'directory')
  // Files first: after flattening, a link may have the destination of its own target, and must not win.
  for (const entry of [...entries.filter(isFile), ...entries.filter((each) => !isFile(each))]) {
    const to = destination(entry.path, definition, triplet)
    if (to === undefined || placed.has(to)) continue
    const pointsTo =
      entry.target === undefined
        ? undefined
        : destination(linkTarget(entry.path, entry.target), definition, triplet)
    if (pointsTo !== to) placed.set(to, { ...entry, to, pointsTo })
  }
  return placed
}

const isFile = (entry: ArchiveEntry): boolean => entry.kind === 'file'

/** The destination of an archive's path in a unit; undefined if it is omitted. */
function destination(path: string, definition: UnitDefinition, triplet: string): string | undefined {
  const to = destinationOf(path, triplet)
  if (to === undefined || to === '' || definition.without?.some((beginning) => to.startsWith(beginning)))
    return undefined
  if (definition.links?.[to] !== undefined || definition.files?.[to] !== undefined) return undefined
  if (definition.onlyFolder === undefined) return to
  return isBelow(to, [definition.onlyFolder]) ? to.slice(definition.onlyFolder.length + 1) : undefined
}

/** The names of programs in a unit's bin/, sorted. */
export function programs(unit: Unit): string[] {
  const paths = [...unit.placed.keys(), ...Object.keys(unit.definition.links ?? {})]
  return [
    ...new Set(paths.filter((path) => /^bin\/[^/]+$/.test(path)).map((path) => path.slice('bin/'.length))),
  ].sort()
}

/** The main program of a package, if it is unambiguous. */
export function mainProgram(unit: Unit): string | undefined {
  const names = programs(unit)
  if (unit.definition.mainProgram !== undefined) return unit.definition.mainProgram
  return names.includes(unit.pname) ? unit.pname : names.length === 1 ? names[0] : undefined
}

export type Units = ReadonlyMap<string, Unit>

/** Whether a unit has entries in a folder. */
export function holdsFolder(unit: Unit, folder: string): boolean {
  for (const path of unit.placed.keys()) if (path.startsWith(`${folder}/`)) return true
  return false
}
