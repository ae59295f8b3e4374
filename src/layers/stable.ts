/**
 * The strategy `stable`: layers do not depend on the rest of the image, so nearly all layers of a new image exist
 * already. For example, this closure, with a budget for four paths besides the bins:
 *
 *     perl        55 MB ─┐
 *     git         34 MB  ├─▶  1. The largest paths get a layer each, as many as the budget allows:
 *     glibc       13 MB  │       perl │ git │ glibc │ openssl
 *     openssl      6 MB ─┘
 *     zlib       160 kB ─┐
 *     hello       60 kB  ├─▶  2. Paths over the budget, and all paths below 100 kB, go into 8 bins:
 *     attr        50 kB  │       zlib │ hello │ attr, iana-etc
 *     iana-etc    25 kB ─┘       The bin is a hash of the name without hash and version. So hello-2.13 and
 *                                hello-2.12-doc are in the same bin as hello-2.12, in every image.
 *
 *     3. The manifest begins with the layers that most images have, because a client can reuse an unpacked layer only
 *        on top of the same layers (moby/moby#38446): the paths of every image with their closures, then those of a
 *        shell, then the other single paths, largest first, then the bins, by number. The rootfs is the last layer.
 *
 *        glibc │ perl │ git │ openssl │ zlib │ hello │ attr, iana-etc │ rootfs
 *
 * So the layer of a single path is the same in all images. Only bins differ, with the small paths of an image and, over
 * the budget, with the paths that do not fit. Ties are broken by store path.
 *
 * With closures of up to 150 paths, a client that keeps its layers fetches 1.01 to 1.24 times the bytes of one layer per
 * path, which is the optimum; with the original's layers it fetches 2.7 to 8.2 times as much. bench/layering/README.md has
 * the figures, and the other numbers of bins, limits and orders that were measured.
 */
import { hash } from 'node:crypto'
import type { Closure } from '../closure/graph.ts'
import { byText, type PathFacts, storePathName, type StorePath } from '../image/store-path.ts'
import { checkBudget, type Plan, type PlanOptions } from './strategy.ts'

/** Increment this when plans change. */
export const stableVersion = 'stable-1'

/** Paths with smaller NARs, in bytes, are not worth a request of their own. */
export const smallPath = 100_000

/** Package names, in order: those of every image, then those of `shell`. moreutils and git need perl. */
const base = [
  ['iana-etc', 'nss-cacert'],
  ['glibc'],
  ['bash', 'bash-interactive'],
  ['coreutils'],
  ['perl'],
  ['moreutils'],
  ['nano'],
]

/** Plans layers as described at the top of this file. Popularity has no influence. */
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
  singles.sort((a, b) => rankOf(a) - rankOf(b)) // a stable sort: within a rank, the largest comes first
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

/** The number of bins for a budget: at most 8, and a tenth of a small budget. */
export const binCount = (maxLayers: number): number => Math.min(8, Math.ceil(maxLayers / 10))

/** The bin of a path, from 0 to `count - 1`. It depends only on the name without hash and version. */
export const binOf = (path: StorePath, count: number): number =>
  hash('sha256', packageName(storePathName(path)), 'buffer').readUInt32BE() % count

/** The name up to the first dash that no letter follows, as in Nix's parseDrvName: `glibc` for `glibc-2.40-66-bin`. */
export const packageName = (name: string): string => name.replace(/-[^A-Za-z].*$/, '')

/** Maps each path in the closure of a base package to the index of the first group that reaches it. */
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
