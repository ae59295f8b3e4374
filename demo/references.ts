import { byText } from '../src/image/store-path.ts'
import { breakCycles, type CutEdge } from './cycles.ts'
import { indexLibraries, type FindLibrary } from './libraries.ts'
import { namedUnits } from './packages.ts'
import { interpreterOf, wrappersOf, type Interpreter } from './scripts.ts'
import { holdsFolder, programs, type Placed, type Unit, type Units } from './units.ts'

/** What a unit refers to. All references together have no circles. */
export type References = {
  /** Everything, sorted. */
  all: string[]
  /** What only Debian's Depends name: nothing in the unit's files does. Sorted. */
  propagated: string[]
}

/** Who refers to whom and where in the files it is written. */
export type Wiring = {
  of(unit: Unit): References
  findLibrary: FindLibrary
  /** The interpreter to write into a script, if it is among the unit's references. */
  interpreter(unit: Unit, script: Placed): Interpreter | undefined
  /** The unit that holds what a link points to, if it is another one and among the unit's references. */
  linkUnit(unit: Unit, link: Placed): string | undefined
  wrappers(unit: Unit): Record<string, Record<string, string>>
  /** References left out because they would have closed a circle. */
  cut: CutEdge[]
}

/**
 * Finds which units refer to which. Circles are broken by leaving out references that only Depends name, then
 * those of scripts and links; never of libraries.
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

/** Which unit has a program of a name in its bin/; the first by the unit's name. */
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
