/**
 * The strategy `nixery`: the original's (layers/layers.go), so that a migrated deployment can keep its layers. For
 * example, an image of A, B, C and D, where D needs F and the huge G, C needs D, and A, B and C need the popular E:
 *
 *     image ─┬─▶ A ──▶ E           1. Edges from the image to its roots, and from each path to its
 *            ├─▶ B ──▶ E              references.
 *            ├─▶ C ──▶ E, D        2. Another one from the image to every path that deserves a layer: E because of
 *            ├─▶ D ──▶ F, G           its popularity (100 or more), G because of its closure's size (over 100 MB).
 *            ├┄▶ E
 *            └┄▶ G
 *
 *     image ─┬─ A                  3. The dominator tree: a path is below the one that all ways from the image to it
 *            ├─ B                     lead through. Only D leads to F. C also leads to D, but D is a root itself.
 *            ├─ C
 *            ├─ D ── F
 *            ├─ E                  4. Each child of the image, with everything below it, is a layer:
 *            └─ G                     A  B  C  DF  E  G
 *
 *     5. A layer's rating is the popularity of its topmost path × the sum of its paths' closure sizes. (Closures
 *        overlap, so deep paths are counted more than once, as in the original.)
 *     6. If there are more layers than allowed, those with the lowest ratings are merged. If A < B < C < DF < E < G,
 *        5 layers are AB C DF E G, 4 are ABC DF E G, and 1 has all paths. The merged layer's rating is the sum.
 *     7. The manifest lists the highest rating first: a client can reuse an unpacked layer only on top of the same
 *        layers (moby/moby#38446), so the layers that images share must be at the bottom.
 *
 * Ties: of two layers with equal ratings, the one with the lower first store path in byte order comes first, both when
 * merging (6) and in the manifest (7). In the original the order is random. Two layers never share a path, so here it
 * is always determined.
 */
import { immediateDominators, topDominators } from '../closure/dominators.ts'
import { sizeOf, withRoot } from '../closure/digraph.ts'
import { type Closure, indexClosure, type IndexedClosure } from '../closure/graph.ts'
import { type Popularity, popularityOf } from '../closure/popularity.ts'
import { reachedWeights } from '../closure/reach.ts'
import type { StorePath } from '../image/store-path.ts'
import { checkBudget, type Plan, type PlanOptions } from './strategy.ts'

/** Increment this when plans change. */
export const nixeryVersion = 'nixery-1'

// Both from the original, whose author calls them guesses.
const bigClosure = 100 * 1000 * 1000 // bytes
const popular = 100

/** Groups paths as the original does; see the top of this file. */
export function planNixery(closure: Closure, { popularity, maxLayers }: PlanOptions): Plan {
  checkBudget(maxLayers)
  const indexed = indexClosure(closure)
  const layers = mergeLowest(rateLayers(indexed, popularity), maxLayers)
  layers.sort((a, b) => compare(b.rating, a.rating) || a.first - b.first)
  return {
    strategy: nixeryVersion,
    layers: layers.map(({ nodes }) => ({ paths: nodes.map((node) => indexed.paths[node] as StorePath) })),
  }
}

/** `nodes` are in ascending order, which is the byte order of their paths; `first` is the first of them. */
type RatedLayer = { readonly nodes: readonly number[]; readonly first: number; readonly rating: bigint }

/** Steps 1 to 5. */
function rateLayers({ paths, narSizes, roots, graph }: IndexedClosure, popularity: Popularity): RatedLayer[] {
  const sizes = reachedWeights(graph, narSizes)
  const popularities = paths.map((path) => popularityOf(popularity, path))
  const deserving = [...paths.keys()].filter(
    (node) => (sizes[node] as number) > bigClosure || (popularities[node] as number) >= popular,
  )
  const image = sizeOf(graph)
  const tops = topDominators(immediateDominators(withRoot(graph, [...roots, ...deserving]), image), image)
  const grouped = Map.groupBy(paths.keys(), (node) => tops[node] as number)
  return Array.from(grouped, ([top, nodes]) => {
    // 500,000 × 20 GB is not a safe integer.
    const size = nodes.reduce((sum, node) => sum + BigInt(sizes[node] as number), 0n)
    return { nodes, first: nodes[0] as number, rating: BigInt(popularities[top] as number) * size }
  })
}

/** Step 6. As in the original, the merged layer is not rated again between merges, so it takes all that follow. */
function mergeLowest(layers: readonly RatedLayer[], maxLayers: number): RatedLayer[] {
  if (layers.length <= maxLayers) return [...layers]
  const ascending = layers.toSorted((a, b) => compare(a.rating, b.rating) || a.first - b.first)
  const merged = ascending.splice(0, layers.length - maxLayers + 1)
  const nodes = merged.flatMap((layer) => layer.nodes).sort((a, b) => a - b)
  const rating = merged.reduce((sum, layer) => sum + layer.rating, 0n)
  return [{ nodes, first: nodes[0] as number, rating }, ...ascending]
}

const compare = (a: bigint, b: bigint): number => (a < b ? -1 : a > b ? 1 : 0)
