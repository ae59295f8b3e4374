import { posix } from 'node:path'
import type { Unit, Units } from './units.ts'

/** The location of a library: a folder of a unit. */
export type LibraryPlace = { unit: string; folder: string }

/** Finds a library that a program of a unit is linked with; undefined if no unit has it. */
export type FindLibrary = (from: Unit, soname: string) => LibraryPlace | undefined

/**
 * An index of all libraries. Those of the same unit come first, then those in lib/ itself, then those in folders below
 * (plugins, private libraries); ties are broken by the unit's name.
 */
export function indexLibraries(units: Units): FindLibrary {
  const places = new Map<string, LibraryPlace[]>()
  for (const key of [...units.keys()].sort()) {
    for (const { to, elf, kind } of units.get(key)?.placed.values() ?? []) {
      const name = posix.basename(to)
      if (!name.includes('.so') || (kind === 'file' && elf === undefined)) continue
      for (const soname of new Set([name, elf?.soname ?? name])) {
        const place = { unit: key, folder: posix.dirname(to) }
        places.set(soname, [...(places.get(soname) ?? []), place])
      }
    }
  }
  return (from, soname) => {
    const all = places.get(soname) ?? []
    return all.find((each) => each.unit === from.key) ?? all.find((each) => each.folder === 'lib') ?? all[0]
  }
}
