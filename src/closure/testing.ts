/** Closures for tests: from tables, random, or large. */
import { hash } from 'node:crypto'
import fc from 'fast-check'
import { type PathFacts, parseStorePath, type StorePath } from '../image/store-path.ts'
import { type Closure, indexClosure, walkClosure } from './graph.ts'
import { reachedWeights } from './reach.ts'

/** A store path with this name. Its hash is that of the name, so byte order differs from the order of names. */
export const storePathOf = (name: string): StorePath =>
  parseStorePath(`/nix/store/${hash('sha256', name).slice(0, 32).replaceAll('e', 'z')}-${name}`)

/** Facts from a table: name → [narSize, references]. */
export function factsOf(
  table: Record<string, readonly [number, readonly string[]]>,
): Map<StorePath, PathFacts> {
  const facts = Object.entries(table).map(([name, [narSize, references]]): PathFacts => ({
    storePath: storePathOf(name),
    narHash: `sha256-${hash('sha256', name, 'base64')}`,
    narSize,
    references: references.map(storePathOf),
  }))
  return new Map(facts.map((one) => [one.storePath, one]))
}

/** The closure of the roots in the table. */
export function closureOf(
  roots: readonly string[],
  table: Record<string, readonly [number, readonly string[]]>,
): Closure {
  const facts = factsOf(table)
  const walked = walkClosure(roots.map(storePathOf), (path) => facts.get(path))
  if ('unknown' in walked) throw new Error(`missing in the table: ${walked.unknown.join(' ')}`)
  return walked.closure
}

/** The same closure with roots, map and references in another order. */
export function shuffled(closure: Closure, order: (text: string) => string): Closure {
  const by = <T>(items: Iterable<T>, key: (item: T) => string): T[] =>
    [...items].sort((a, b) => (order(key(a)) < order(key(b)) ? -1 : 1))
  return {
    roots: by(closure.roots, (path) => path),
    paths: new Map(
      by(closure.paths, ([path]) => path).map(([path, facts]) => [
        path,
        { ...facts, references: by(facts.references, (reference) => reference) },
      ]),
    ),
  }
}

/** Successor lists of up to `maxLength` nodes, with or without cycles. Loops and multiple edges occur. */
export const successorLists = (maxLength = 24): fc.Arbitrary<number[][]> =>
  fc
    .tuple(
      fc.boolean(),
      fc.array(fc.array(fc.nat({ max: maxLength - 1 }), { maxLength: 4 }), { minLength: 1, maxLength }),
    )
    .map(([cycles, lists]) =>
      lists.map((list, node) => list.map((target) => target % (cycles ? lists.length : node + 1))),
    )

/** Closures of such graphs. Sizes are around the limit for big closures, and often equal. */
export const closures: fc.Arbitrary<Closure> = successorLists().chain((lists) =>
  fc
    .tuple(
      fc.array(fc.constantFrom(0, 1, 1, 1000, 30e6, 99_999_999, 100_000_000, 1e12), {
        minLength: lists.length,
        maxLength: lists.length,
      }),
      fc.array(fc.nat({ max: lists.length - 1 }), { maxLength: 5 }),
    )
    .map(([sizes, roots]) =>
      closureOf(
        roots.map((node) => `p${node}`),
        Object.fromEntries(
          lists.map((list, node) => [
            `p${node}`,
            [sizes[node] as number, [...new Set(list)].map((target) => `p${target}`)],
          ]),
        ),
      ),
    ),
)

/**
 * Facts of `size` paths, each with about `degree` references to earlier ones, half of them to near ones. The last path is
 * the root and reaches all, through a chain.
 */
export function largeFacts(
  size: number,
  degree: number,
): { root: StorePath; facts: Map<StorePath, PathFacts> } {
  // A fixed random generator (Lehmer's, modulus 2^31 - 1), so that every run has the same graph.
  let state = 1
  const below = (limit: number): number => {
    state = (state * 48_271) % 2_147_483_647
    return state % limit
  }
  const table: Record<string, readonly [number, readonly string[]]> = {}
  for (let node = 0; node < size; node++) {
    const references = new Set(node === 0 ? [] : [node - 1])
    const edges = Math.min(degree, node)
    for (let edge = 1; edge < edges; edge++) {
      references.add(edge % 2 === 0 ? below(node) : node - 1 - below(Math.min(node, 50)))
    }
    table[`p${node}`] = [1 + below(1_000_000), Array.from(references, (target) => `p${target}`)]
  }
  return { root: storePathOf(`p${size - 1}`), facts: factsOf(table) }
}

/** For each path, the sum of `narSize` of all paths that it reaches, including itself. Cycles may occur. */
export function closureSizes(closure: Closure): Map<StorePath, number> {
  const { paths, narSizes, graph } = indexClosure(closure)
  const sizes = reachedWeights(graph, narSizes)
  return new Map(paths.map((path, node) => [path, sizes[node] as number]))
}
