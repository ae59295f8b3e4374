import type { Catalog } from '../catalog/catalog.ts'
import { walkClosure, type Closure } from '../closure/graph.ts'
import { keyOf, type Key } from '../image/canonical.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'

/**
 * Builds the closure of these paths from the facts in the catalog; returns undefined if the facts of a path are missing.
 * @param fresh facts just read from Nix, which take precedence
 */
export async function knownClosure(
  catalog: Catalog,
  roots: readonly StorePath[],
  fresh: readonly PathFacts[] = [],
): Promise<Closure | undefined> {
  const freshByPath = new Map(fresh.map((one) => [one.storePath, one]))
  const facts = new Map<StorePath, PathFacts>()
  let frontier = [...new Set(roots)]
  while (frontier.length > 0) {
    const remembered = await catalog.pathFacts(frontier.filter((path) => !freshByPath.has(path)))
    const references = new Set<StorePath>()
    for (const path of frontier) {
      const known = freshByPath.get(path) ?? remembered.get(path)
      if (!known) return undefined
      facts.set(path, known)
      for (const reference of known.references) references.add(reference)
    }
    frontier = [...references].filter((path) => !facts.has(path))
  }
  return walked(roots, facts)
}

/** Builds the closure of these paths from complete facts. */
export const closureOf = (roots: readonly StorePath[], facts: readonly PathFacts[]): Closure =>
  walked(roots, new Map(facts.map((one) => [one.storePath, one])))

function walked(roots: readonly StorePath[], facts: ReadonlyMap<StorePath, PathFacts>): Closure {
  const found = walkClosure(roots, (path) => facts.get(path))
  if ('closure' in found) return found.closure
  throw new Error(`Nix returned no facts for ${found.unknown.slice(0, 3).join(', ')}`)
}

/**
 * The key of a closure: its paths with the hashes of their contents. Two builders can produce different bytes for the same
 * store path, and layers of one must not be used for the other.
 */
export const closureKey = (closure: Closure): Key<'closure'> =>
  keyOf(
    'closure',
    1,
    [...closure.paths.values()].map(({ storePath, narHash }) => [storePath, narHash]),
  )
