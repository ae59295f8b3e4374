import { byText, type PathFacts, type StorePath } from '../image/store-path.ts'
import { type Digraph, digraph } from './digraph.ts'

/**
 * The closure of some roots: all paths that they reach, with their facts. It is complete: it contains all roots and all
 * references of its paths.
 */
export type Closure = {
  /** In the given order, without duplicates. */
  readonly roots: readonly StorePath[]
  /** In byte order of the store path, if `walkClosure` made it. */
  readonly paths: ReadonlyMap<StorePath, PathFacts>
}

/** A closure with numbered paths: node i is `paths[i]`. */
export type IndexedClosure = {
  /** In byte order, so that numbers compare like their paths. */
  readonly paths: readonly StorePath[]
  /** The size of each path's NAR in bytes. */
  readonly narSizes: Float64Array
  readonly roots: readonly number[]
  /** An edge for each reference, including self-references. */
  readonly graph: Digraph
}

/**
 * Walks from the roots to all paths that they reach.
 *
 * @returns the closure, or, if `lookup` returned undefined for some paths, these paths in byte order. The references of
 * unknown paths are unknown, so the paths that only they reach are not in the list.
 */
export function walkClosure(
  roots: Iterable<StorePath>,
  lookup: (path: StorePath) => PathFacts | undefined,
): { closure: Closure } | { unknown: StorePath[] } {
  const distinctRoots = [...new Set(roots)]
  const factsByPath = new Map<StorePath, PathFacts>()
  const unknown: StorePath[] = []
  // Iterating over a set also visits elements added during the iteration, so it is queue and visited set in one.
  const reached = new Set(distinctRoots)
  for (const path of reached) {
    const facts = lookup(path)
    if (facts === undefined) {
      unknown.push(path)
      continue
    }
    factsByPath.set(path, facts)
    for (const reference of facts.references) reached.add(reference)
  }
  if (unknown.length > 0) return { unknown: unknown.sort(byText) }
  const paths = [...factsByPath].sort(([a], [b]) => byText(a, b))
  return { closure: { roots: distinctRoots, paths: new Map(paths) } }
}

/**
 * Numbers the paths of a closure. The numbers do not depend on the order of the map.
 * @throws an Error if the closure is incomplete, which is a bug in the caller
 */
export function indexClosure(closure: Closure): IndexedClosure {
  const paths = [...closure.paths.keys()].sort(byText)
  const facts = paths.map((path) => closure.paths.get(path) as PathFacts)
  const numbers = new Map(paths.map((path, node) => [path, node]))
  const numberOf = (path: StorePath): number => {
    const number = numbers.get(path)
    if (number === undefined) throw new Error(`incomplete closure: no facts for ${path}`)
    return number
  }
  return {
    paths,
    narSizes: Float64Array.from(facts, ({ narSize }) => narSize),
    roots: closure.roots.map(numberOf),
    graph: digraph(facts.map(({ references }) => references.map(numberOf))),
  }
}
