/** How other programs layer closures, for comparison. */
import type { Closure } from '../../src/closure/graph.ts'
import { byText, type PathFacts, type StorePath } from '../../src/image/store-path.ts'
import type { PlannedLayer } from '../../src/layers/strategy.ts'

/** The optimum if layers consist of whole store paths: one layer per path. */
export const onePathEach = ({ paths }: Closure): PlannedLayer[] =>
  [...paths.keys()].map((path) => ({ paths: [path] }))

/**
 * A layer for each of the most popular paths, and one for all others: the first strategy of nixpkgs' dockerTools, and
 * that of nix2container. The popularity of a path is the number of ways through the closure that end at it.
 */
export function popularAlone({ paths }: Closure, maxLayers: number): PlannedLayer[] {
  const usersFirst = leavesFirst(paths).reverse()
  const popularity = new Map(usersFirst.map((path) => [path, 1]))
  for (const user of usersFirst) {
    for (const path of paths.get(user)?.references ?? []) {
      if (path === user) continue
      popularity.set(path, (popularity.get(path) ?? 0) + (popularity.get(user) ?? 0))
    }
  }
  const popular = usersFirst.sort(
    (a, b) => (popularity.get(b) ?? 0) - (popularity.get(a) ?? 0) || byText(a, b),
  )
  const alone = popular.length <= maxLayers ? popular.length : maxLayers - 1
  const rest = popular.slice(alone).sort(byText)
  return [
    ...popular.slice(0, alone).map((path) => ({ paths: [path] })),
    ...(rest.length > 0 ? [{ paths: rest }] : []),
  ]
}

/**
 * Size first, like nixpkgs' dockerTools today. The largest paths, one after another, become cuts: a cut has its own layer,
 * and its dependencies are separated from what is needed without it. Paths needed by the same cuts share a layer. It stops
 * before the cut that would make too many layers.
 */
export function sizeFirst(closure: Closure, maxLayers: number): PlannedLayer[] {
  const { paths } = closure
  const needs = needsOf(closure)
  let labels = new Map([...paths.keys()].map((path) => [path, new Set<StorePath>()]))
  const largestFirst = [...paths.values()].sort(
    (a, b) => b.narSize - a.narSize || byText(a.storePath, b.storePath),
  )
  for (const { storePath: cut } of largestFirst) {
    const next = new Map(labels).set(cut, new Set([cut]))
    const below = needs.get(cut) ?? new Set<StorePath>()
    for (const path of below) {
      // The nearest cuts count: not those that need this one, nor this one if there is a nearer one.
      const label = new Set([...(labels.get(path) ?? [])].filter((other) => !needs.get(other)?.has(cut)))
      if (![...label].some((other) => below.has(other))) label.add(cut)
      next.set(path, label)
    }
    if (grouped(next).size > maxLayers) break
    labels = next
  }
  const weight = (path: StorePath): number =>
    [path, ...(needs.get(path) ?? [])].reduce((sum, each) => sum + (paths.get(each)?.narSize ?? 0), 0)
  return [...grouped(labels).values()]
    .map((members) => ({ paths: members.sort(byText), weight: Math.max(...members.map(weight)) }))
    .sort((a, b) => a.weight - b.weight || byText(a.paths[0] ?? '', b.paths[0] ?? ''))
}

const grouped = (labels: ReadonlyMap<StorePath, ReadonlySet<StorePath>>): Map<string, StorePath[]> =>
  Map.groupBy(labels.keys(), (path) => [...(labels.get(path) ?? [])].sort(byText).join(' '))

/** For each path its dependencies, without itself. */
function needsOf({ paths }: Closure): Map<StorePath, Set<StorePath>> {
  const needs = new Map<StorePath, Set<StorePath>>()
  for (const path of leavesFirst(paths)) {
    const references = (paths.get(path)?.references ?? []).filter((reference) => reference !== path)
    const own = new Set(references)
    for (const reference of references) for (const deeper of needs.get(reference) ?? []) own.add(deeper)
    needs.set(path, own)
  }
  return needs
}

/** All paths, each after its references. */
function leavesFirst(paths: ReadonlyMap<StorePath, PathFacts>): StorePath[] {
  const left = new Set<StorePath>()
  const entered = new Set<StorePath>()
  const visit = (path: StorePath): void => {
    if (entered.has(path)) return
    entered.add(path)
    for (const reference of paths.get(path)?.references ?? []) visit(reference)
    left.add(path)
  }
  for (const path of paths.keys()) visit(path)
  return [...left]
}
