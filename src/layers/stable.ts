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
 * Measured by bench/trace.ts: bytes (of NARs) that a client fetches which keeps its layers, as a multiple of what it
 * would with one layer per path, which nothing can beat. First 60 random images of 1 to 6 packages, then all of them
 * again after 5 % of the paths, and what refers to them, have changed; five seeds; 94 layers and the rootfs.
 *
 *                                           paths an image      stable  size first¹       nixery
 *     demo packages                          30, at most 86   1.01  1.01  1.00  1.00   6.15  8.20
 *     Debian's graph, programs of 20-150                145   1.14  1.24  1.62  1.95   2.69  3.80
 *     Debian's graph, programs of 100-400               376   1.83  2.17  3.12  3.76   4.00  5.21
 *     Debian's graph, programs of 400-1500             1024   3.38  5.03  5.59  8.36   7.02  11.3
 *     at random, 1000 paths                             330   4.13  5.56  5.33  7.12   14.6  21.0
 *     at random, 3000 paths                            1064   10.1  13.1  7.16  9.20   25.5  33.9
 *
 *     ¹ as nixpkgs' dockerTools has it. In the random graphs packages take libraries that are neighbours; at a
 *       thousand paths keeping together what is needed together then wins, but it depends on the rest of the image.
 *
 * What was tried besides:
 * - Other numbers of bins. Images over the budget fetch most bins anew, and each bin takes a layer from a larger path:
 *   on the first of Debian's graphs one bin costs 1.12 1.21, 8 cost 1.14 1.24, 16 cost 1.17 1.27, and 32 cost 1.23
 *   1.35. But when a single path of a pulled image changes, one bin costs 1.19, 8 cost 1.10 and 16 cost 1.08.
 * - Other limits for small paths. On the demo packages bins save a client without layers 8 % of the requests, and cost
 *   one that has many 6 % more, at 1 % more bytes. With 200 kB for the limit they save 26 % and cost 18 %, at 6 % more
 *   bytes, 9 % after the update and 15 % in the worst case.
 * - Bins by how a name begins, so that python3.12-a and python3.12-b share one: the same within 2 %.
 * - Alone by size × the number of paths that refer to it: 1 to 26 % more bytes than by size.
 * - A limit that comes in steps, so that the same paths are alone in images of like size: 2 to 30 % more.
 * - Other orders. By size, by size of the closure, or by the number of users, 24 to 33 % of an image's bytes lie on
 *   the same layers as in the image before (demo packages, mean of images); with what all have first 49 %. All that
 *   both have is 60 %.
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
