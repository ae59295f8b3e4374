import { byText, type PathFacts, type StorePath } from '../image/store-path.ts'
import { type Digraph, digraph } from './digraph.ts'

/**
 * The closure of some roots: every path that they reach, and what Nix knows of each. Complete: roots and
 * references of paths are themselves among the paths.
 */
export type Closure = {
  /** Each once, in the order given. */
  readonly roots: readonly StorePath[]
  /** From `walkClosure` in byte order of the store path. */
  readonly paths: ReadonlyMap<StorePath, PathFacts>
}

/** A closure as numbers: node i is `paths[i]`. */
export type IndexedClosure = {
  /** In byte order, so that comparing two numbers compares their paths. */
  readonly paths: readonly StorePath[]
  /** Bytes of each path's NAR. */
  readonly narSizes: Float64Array
  readonly roots: readonly number[]
  /** An edge for each reference, self-references included. */
  readonly graph: Digraph
}

/**
 * Walks from the roots through `lookup` to all they reach.
 *
 * @returns the closure; or, where `lookup` knew nothing of some paths, those paths in byte order. What only
 * they reach is not among them, because nothing tells of it.
 */
export function walkClosure(
  roots: Iterable<StorePath>,
  lookup: (path: StorePath) => PathFacts | undefined,
): { closure: Closure } | { unknown: StorePath[] } {
  const distinctRoots = [...new Set(roots)]
  const found = new Map<StorePath, PathFacts>()
  const unknown: StorePath[] = []
  // A set's iteration also visits what is added meanwhile: it is the queue and the mark in one.
  const reached = new Set(distinctRoots)
  for (const path of reached) {
    const facts = lookup(path)
    if (facts === undefined) {
      unknown.push(path)
      continue
    }
    found.set(path, facts)
    for (const reference of facts.references) reached.add(reference)
  }
  if (unknown.length > 0) return { unknown: unknown.sort(byText) }
  const paths = [...found.keys()].sort(byText).map((path) => [path, found.get(path) as PathFacts] as const)
  return { closure: { roots: distinctRoots, paths: new Map(paths) } }
}

/**
 * Numbers the paths of a closure. The numbers depend on the store paths alone, not on the order of the map.
 * An incomplete closure is a bug of whoever made it, and throws a plain Error.
 */
export function indexClosure(closure: Closure): IndexedClosure {
  const paths = [...closure.paths.keys()].sort(byText)
  const facts = paths.map((path) => closure.paths.get(path) as PathFacts)
  const numbers = new Map(paths.map((path, node) => [path, node]))
  const numberOf = (path: StorePath): number => {
    const number = numbers.get(path)
    if (number === undefined) throw new Error(`closure is not complete: no facts of ${path}`)
    return number
  }
  return {
    paths,
    narSizes: Float64Array.from(facts, ({ narSize }) => narSize),
    roots: closure.roots.map(numberOf),
    graph: digraph(facts.map(({ references }) => references.map(numberOf))),
  }
}
