/**
 * The strategy `stable`: layers that do not depend on what else an image holds, so that nearly every layer of a new
 * image exists already. Take this closure, and a budget with room for four paths beside the bins:
 *
 *     perl        55 MB ─┐
 *     git         34 MB  ├─▶  1. The largest have a layer each, as many as the budget allows:
 *     glibc       13 MB  │       perl │ git │ glibc │ openssl
 *     openssl      6 MB ─┘
 *     zlib       160 kB ─┐
 *     hello       60 kB  ├─▶  2. What is over the budget, and what is below 100 kB anyway, goes into 8 bins:
 *     attr        50 kB  │       zlib │ hello │ attr, iana-etc
 *     iana-etc    25 kB ─┘       The bin is a hash of the name without hash and version. So hello-2.13 and
 *                                hello-2.12-doc have the bin of hello-2.12, in every image.
 *
 *     3. In the manifest comes first what most images have, since a client can reuse an unpacked layer only on top
 *        of the same layers (moby/moby#38446): what every image has, with all it needs, then what a shell has; then
 *        what else is alone, largest first; then the bins, by number. The rootfs is the last layer.
 *
 *        glibc │ perl │ git │ openssl │ zlib │ hello │ attr, iana-etc │ rootfs
 *
 * So the layer of a path that is alone is the same in all images. Only bins differ: with every path below the limit
 * that an image has, and in images over the budget with those that are over. Ties are broken by store path.
 *
 * On closures of up to 150 paths a client that keeps its layers fetches 1.01 to 1.24 times the bytes that it would with
 * one layer per path, which nothing can beat; with the original's layers it is 2.7 to 8.2 times. bench/layering/README.md
 * has the figures, and the other numbers of bins, limits and orders that were measured.
 */
import { hash } from 'node:crypto'
import type { Closure } from '../closure/graph.ts'
import { byText, type PathFacts, storePathName, type StorePath } from '../image/store-path.ts'
import { checkBudget, type Plan, type PlanOptions } from './strategy.ts'

/** The version rises when plans change. */
export const stableVersion = 'stable-1'

/** Bytes of NAR below which a path is not worth a request of its own. */
export const smallPath = 100_000

/** By name, in order: what every image has, and what `shell` stands for. Perl is moreutils', and git's too. */
const base = [
  ['iana-etc', 'nss-cacert'],
  ['glibc'],
  ['bash', 'bash-interactive'],
  ['coreutils'],
  ['perl'],
  ['moreutils'],
  ['nano'],
]

/** As drawn at the top of this file; popularity data has no part in it. */
export function planStable(closure: Closure, { maxLayers }: Pick<PlanOptions, 'maxLayers'>): Plan {
  checkBudget(maxLayers)
  const largestFirst = [...closure.paths.values()].sort(bySize)
  const count = binCount(maxLayers)
  const bins = new Map<number, StorePath[]>()
  let alone = largestFirst.length
  while (alone > 0) {
    const { storePath, narSize } = largestFirst[alone - 1] as PathFacts
    if (narSize >= smallPath && alone + bins.size <= maxLayers) break
    const bin = binOf(storePath, count)
    const others = bins.get(bin)
    if (others) others.push(storePath)
    else bins.set(bin, [storePath])
    alone -= 1
  }

  const ranks = baseRanks(closure)
  const rankOf = (path: StorePath): number => ranks.get(path) ?? base.length
  const singles = largestFirst.slice(0, alone).map(({ storePath }) => storePath)
  singles.sort((a, b) => rankOf(a) - rankOf(b)) // the sort is stable: within a rank the largest comes first
  const filled = [...bins].sort(([a], [b]) => a - b)
  return {
    strategy: stableVersion,
    layers: [
      ...singles.map((path) => ({ paths: [path] })),
      ...filled.map(([, paths]) => ({ paths: paths.sort(byText) })),
    ],
  }
}

const bySize = (a: PathFacts, b: PathFacts): number =>
  b.narSize - a.narSize || byText(a.storePath, b.storePath)

/** How many bins a budget has: a twelfth of 94, and never more than a few. */
export const binCount = (maxLayers: number): number => Math.min(8, Math.ceil(maxLayers / 10))

/** The bin of a path: a number below `count` that only the name without hash and version decides. */
export const binOf = (path: StorePath, count: number): number =>
  hash('sha256', packageName(storePathName(path)), 'buffer').readUInt32BE() % count

/** `glibc` of `glibc-2.40-66-bin`: up to the first dash that no letter follows, as in Nix's parseDrvName. */
export const packageName = (name: string): string => name.replace(/-[^A-Za-z].*$/, '')

/** For each path that something of the base reaches, the first group that does. */
function baseRanks({ paths }: Closure): Map<StorePath, number> {
  const byName = Map.groupBy(paths.keys(), (path) => packageName(storePathName(path)))
  const ranks = new Map<StorePath, number>()
  for (const [rank, names] of base.entries()) {
    const reached = new Set(names.flatMap((name) => byName.get(name) ?? []))
    for (const path of reached) {
      if (ranks.has(path)) continue
      ranks.set(path, rank)
      for (const reference of paths.get(path)?.references ?? []) reached.add(reference)
    }
  }
  return ranks
}
