import type { Catalog } from '../catalog/catalog.ts'
import { walkClosure, type Closure } from '../closure/graph.ts'
import { keyOf, type Key } from '../image/canonical.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'

/**
 * The closure of these paths from remembered facts; undefined if any path of it is not known.
 * @param fresh facts that Nix has just told, which count more
 */
export async function knownClosure(
  catalog: Catalog,
  roots: readonly StorePath[],
  fresh: readonly PathFacts[] = [],
): Promise<Closure | undefined> {
  const told = new Map(fresh.map((one) => [one.storePath, one]))
  const facts = new Map<StorePath, PathFacts>()
  let frontier = [...new Set(roots)]
  while (frontier.length > 0) {
    const remembered = await catalog.pathFacts(frontier.filter((path) => !told.has(path)))
    const references = new Set<StorePath>()
    for (const path of frontier) {
      const known = told.get(path) ?? remembered.get(path)
      if (!known) return undefined
      facts.set(path, known)
      for (const reference of known.references) references.add(reference)
    }
    frontier = [...references].filter((path) => !facts.has(path))
  }
  return closureOf(roots, [...facts.values()])
}

/** The closure of these paths from facts that hold all of it. */
export function closureOf(roots: readonly StorePath[], facts: readonly PathFacts[]): Closure {
  const known = new Map(facts.map((one) => [one.storePath, one]))
  const walked = walkClosure(roots, (path) => known.get(path))
  if ('closure' in walked) return walked.closure
  throw new Error(`Nix gave no facts of ${walked.unknown.slice(0, 3).join(', ')}`)
}

/**
 * What the bytes of a closure are: its paths with the hashes of their contents. Two builders may make different
 * bytes for one store path; what was made from one is never taken for the other.
 */
export const closureKey = (closure: Closure): Key<'closure'> =>
  keyOf(
    'closure',
    1,
    [...closure.paths.values()].map(({ storePath, narHash }) => [storePath, narHash]),
  )
