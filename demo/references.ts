import { byText } from '../src/image/store-path.ts'
import { breakCycles, type CutEdge } from './cycles.ts'
import { indexLibraries, type FindLibrary } from './libraries.ts'
import { namedUnits } from './packages.ts'
import { interpreterOf, wrappersOf, type Interpreter } from './scripts.ts'
import { holdsFolder, programs, type Placed, type Unit, type Units } from './units.ts'

/** The references of a unit. The references of all units are acyclic. */
export type References = {
  /** All references, sorted. */
  all: string[]
  /** The references that come only from Debian's Depends, and not from the unit's files. Sorted. */
  propagated: string[]
}

/** The references between units, and where files contain them. */
export type Wiring = {
  of(unit: Unit): References
  findLibrary: FindLibrary
  /** The interpreter for a script, if it is among the unit's references. */
  interpreter(unit: Unit, script: Placed): Interpreter | undefined
  /** The unit with the target of a link, if it is another unit and among the references. */
  linkUnit(unit: Unit, link: Placed): string | undefined
  wrappers(unit: Unit): Record<string, Record<string, string>>
  /** References that were removed because they would form a cycle. */
  cut: CutEdge[]
}

/**
 * Finds the references between units. Cycles are broken by removing references that come only from Depends, then
 * those of scripts and links, but never those of libraries.
 */
export function wire(units: Units): Wiring {
  const findLibrary = indexLibraries(units)
  const holders = indexPrograms(units)
  const reachable = transitiveDepends(units)
  const reach = (unit: Unit): ReadonlySet<string> => reachable.get(unit.key) ?? new Set()
  const interpreter: Wiring['interpreter'] = (unit, script) =>
    interpreterOf(unit, script, holders, reach(unit))
  const wrappers: Wiring['wrappers'] = (unit) => wrappersOf(unit, units, reach(unit))
  const linkUnit: Wiring['linkUnit'] = (unit, { pointsTo }) => {
    if (pointsTo === undefined || holds(unit, pointsTo)) return undefined
    return [...reach(unit)].sort().find((key) => holds(units.get(key), pointsTo))
  }

  const others = (unit: Unit, keys: Iterable<string | undefined>): Set<string> =>
    new Set([...keys].filter((key) => key !== undefined).filter((key) => key !== unit.key && units.has(key)))
  const edges = (find: (unit: Unit) => Iterable<string | undefined>): Map<string, Set<string>> =>
    new Map([...units.values()].map((unit) => [unit.key, others(unit, find(unit))]))

  const libraries = edges((unit) =>
    [...unit.placed.values()].flatMap(({ elf }) =>
      (elf?.needed ?? []).map((name) => findLibrary(unit, name)?.unit),
    ),
  )
  const uses = edges((unit) => [
    ...[...unit.placed.values()].flatMap((each) => [interpreter(unit, each)?.unit, linkUnit(unit, each)]),
    ...namedUnits({ ...unit.definition, wrappers: wrappers(unit) }),
  ])
  const depends = edges((unit) => unit.depends)
  const { kinds, cut } = breakCycles([depends, uses, libraries])
  const [leftDepends, leftUses] = kinds
  const written = (unit: Unit): Set<string> =>
    (libraries.get(unit.key) ?? new Set<string>()).union(leftUses?.get(unit.key) ?? new Set())
  const refers = (unit: Unit, to: string | undefined): boolean =>
    to === undefined || to === unit.key || written(unit).has(to)
  return {
    of(unit) {
      const propagated = (leftDepends?.get(unit.key) ?? new Set<string>()).difference(written(unit))
      return { all: [...written(unit).union(propagated)].sort(), propagated: [...propagated].sort() }
    },
    findLibrary,
    interpreter(unit, script) {
      const found = interpreter(unit, script)
      return refers(unit, found?.unit) ? found : undefined
    },
    linkUnit(unit, link) {
      const found = linkUnit(unit, link)
      return refers(unit, found) ? found : undefined
    },
    wrappers,
    cut,
  }
}

const holds = (unit: Unit | undefined, path: string): boolean =>
  unit !== undefined && (unit.placed.has(path) || holdsFolder(unit, path))

/** The first unit, by name, with a program of this name in its bin/. */
function indexPrograms(units: Units): Map<string, string> {
  const holders = new Map<string, string>()
  for (const unit of [...units.values()].sort((a, b) => byText(a.key, b.key))) {
    for (const name of programs(unit)) if (!holders.has(name)) holders.set(name, unit.key)
  }
  return holders
}

function transitiveDepends(units: Units): Map<string, Set<string>> {
  const result = new Map<string, Set<string>>()
  for (const unit of units.values()) {
    const found = new Set<string>()
    const todo = [...unit.depends]
    for (let key = todo.pop(); key !== undefined; key = todo.pop()) {
      if (found.has(key)) continue
      found.add(key)
      todo.push(...(units.get(key)?.depends ?? []))
    }
    found.delete(unit.key)
    result.set(unit.key, found)
  }
  return result
}
