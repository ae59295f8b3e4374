import type { DebianIndex, DebPackage } from './debian-index.ts'
import { byText } from '../src/image/store-path.ts'

/** Packages and all their dependencies. */
export type DebClosure = {
  /** Sorted by name. */
  packages: DebPackage[]
  /** The dependencies of each package, all of which are in `packages`; sorted. */
  dependencies: Map<string, string[]>
  /** Roots and clauses that no package in the index satisfies. */
  unresolved: string[]
}

/**
 * The closure of `roots` under Depends and Pre-Depends. For a clause with alternatives, it takes one that was already
 * chosen, else the first that exists, else the first package (by name) that provides one of them. Clauses that name a
 * package of `ignored` are ignored: such packages make no sense in a store path.
 */
export function resolveClosure(
  index: DebianIndex,
  roots: readonly string[],
  ignored: ReadonlySet<string>,
): DebClosure {
  const chosen = new Map<string, DebPackage>()
  const unresolved = new Set<string>()
  const choose = (name: string): DebPackage | undefined => {
    const found = index.find(name)
    if (found !== undefined) chosen.set(name, found)
    return found
  }
  const todo = roots.flatMap((name) => {
    const found = choose(name)
    if (found === undefined) unresolved.add(name)
    return found ?? []
  })
  for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
    for (const clause of next.dependencies) {
      const name = pick(index, clause, chosen, ignored)
      if (name === undefined) unresolved.add(`${next.name}: ${clause.join(' | ')}`)
      if (typeof name !== 'string' || chosen.has(name)) continue
      const found = choose(name)
      if (found !== undefined) todo.push(found)
    }
  }
  // Now that all packages are chosen, the alternatives may differ from those chosen during the walk: decide again, so that the
  // edges do not depend on the order of the walk.
  const packages = [...chosen.values()].sort((a, b) => byText(a.name, b.name))
  const dependencies = new Map(
    packages.map((each) => [
      each.name,
      [...new Set(each.dependencies.map((clause) => pick(index, clause, chosen, ignored)))]
        .filter((name) => typeof name === 'string')
        .filter((name) => name !== each.name)
        .sort(),
    ]),
  )
  return { packages, dependencies, unresolved: [...unresolved].sort() }
}

/** The package that satisfies a clause; null for an ignored clause, undefined if no package does. */
function pick(
  index: DebianIndex,
  clause: readonly string[],
  chosen: ReadonlyMap<string, DebPackage>,
  ignored: ReadonlySet<string>,
): string | null | undefined {
  if (clause.some((name) => ignored.has(name))) return null
  const direct =
    clause.find((name) => chosen.has(name)) ?? clause.find((name) => index.find(name) !== undefined)
  if (direct !== undefined) return direct
  const providers = clause.flatMap((name) => index.providers(name)).filter((name) => !ignored.has(name))
  return providers.find((name) => chosen.has(name)) ?? providers[0]
}
