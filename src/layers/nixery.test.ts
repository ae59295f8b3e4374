import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Closure, walkClosure } from '../closure/graph.ts'
import { noPopularity, parsePopularity, type Popularity } from '../closure/popularity.ts'
import { closureOf, closures, closureSizes, largeFacts, shuffled, storePathOf } from '../closure/testing.ts'
import { byText, storePathName, type StorePath } from '../image/store-path.ts'
import { planNixery } from './nixery.ts'
import { defaultMaxLayers } from './strategies.ts'
import type { Plan, PlanOptions } from './strategy.ts'

const plan = (closure: Closure, options: Partial<PlanOptions> = {}): Plan =>
  planNixery(closure, { popularity: noPopularity, maxLayers: defaultMaxLayers, ...options })

/** The names in each layer of a plan. */
const named = (closure: Closure, options: Partial<PlanOptions> = {}): string[] =>
  plan(closure, options).layers.map(({ paths }) => paths.map(storePathName).sort(byText).join(' '))

describe('planNixery, by example', () => {
  describe('for the graph in nixery.ts', () => {
    const closure = closureOf(['A', 'B', 'C', 'D'], {
      A: [1_000_000, ['E']],
      B: [1_100_000, ['E']],
      C: [1_000_000, ['D', 'E']],
      D: [1_000_000, ['F', 'G']],
      E: [2_000_000, []],
      F: [10_000_000, []],
      G: [150_000_000, []],
    })
    const popularity = parsePopularity('{"E":400,"G":20}')
    const rows: [number, string[]][] = [
      [1, ['A B C D E F G']],
      [2, ['G', 'A B C D E F']],
      [3, ['G', 'E', 'A B C D F']],
      [4, ['G', 'E', 'D F', 'A B C']],
      [5, ['G', 'E', 'D F', 'C', 'A B']],
      [6, ['G', 'E', 'D F', 'C', 'B', 'A']],
      [94, ['G', 'E', 'D F', 'C', 'B', 'A']],
    ]
    for (const [maxLayers, expected] of rows) {
      it(`in ${maxLayers} layers`, () =>
        assert.deepEqual(named(closure, { popularity, maxLayers }), expected))
    }
  })

  it('gives a path its own layer from a popularity of 100', () => {
    const closure = closureOf(['a'], { a: [1, ['b', 'c']], b: [10, []], c: [20, []] })
    assert.deepEqual(named(closure, { popularity: parsePopularity('{"b":100,"c":99}') }), ['b', 'a c'])
  })

  it('gives a path its own layer if its closure is larger than 100,000,000 bytes', () => {
    for (const [size, expected] of [
      [100_000_000, ['a b c']],
      [100_000_001, ['b c', 'a']],
    ] as const) {
      const closure = closureOf(['a'], { a: [1, ['b']], b: [size - 1, ['c']], c: [1, []] })
      assert.deepEqual(named(closure), expected)
    }
  })

  it('gives nss-cacert and iana-etc their own layers, first', () => {
    const closure = closureOf(['env'], {
      env: [5000, ['nss-cacert-3.98', 'app', 'iana-etc-2023']],
      'nss-cacert-3.98': [2, []],
      'iana-etc-2023': [1, []],
      app: [70_000, ['iana-etc-2023']],
    })
    assert.deepEqual(named(closure), ['nss-cacert-3.98', 'iana-etc-2023', 'app env'])
  })

  it('places the merged layer by the sum of its ratings', () => {
    const closure = closureOf(['a', 'b', 'c', 'd'], { a: [4, []], b: [5, []], c: [6, []], d: [20, []] })
    assert.deepEqual(named(closure, { maxLayers: 3 }), ['d', 'a b', 'c'])
    assert.deepEqual(named(closure, { maxLayers: 2 }), ['d', 'a b c'])
  })

  it('merges the paths over the budget into one layer', () => {
    const names = Array.from({ length: 120 }, (_, index) => `n${index}`)
    const closure = closureOf(names, Object.fromEntries(names.map((name, index) => [name, [index + 1, []]])))
    const { layers } = plan(closure)
    assert.deepEqual(
      layers.map(({ paths }) => paths.length),
      [27, ...Array<number>(93).fill(1)],
    )
    assert.deepEqual(new Set(layers[0]?.paths), new Set(names.slice(0, 27).map(storePathOf)))
  })

  it('breaks ties by the first store path, when merging and in the manifest', () => {
    const names = ['u', 'v', 'w', 'x', 'y', 'z']
    const closure = closureOf(names, Object.fromEntries(names.map((name) => [name, [1, []]])))
    const paths = names.map(storePathOf).sort(byText)
    assert.deepEqual(
      plan(closure).layers.flatMap((layer) => layer.paths),
      paths,
    )
    assert.deepEqual(
      plan(closure, { maxLayers: 4 }).layers.map((layer) => layer.paths),
      [paths.slice(0, 3), [paths[3]], [paths[4]], [paths[5]]],
    )
  })

  it('breaks ties with the merged layer in the same way', () => {
    const [a, b, c] = ['u', 'v', 'w'].sort((x, y) => byText(storePathOf(x), storePathOf(y))) as [
      string,
      string,
      string,
    ]
    const options = { maxLayers: 2 }
    const before = closureOf([a, b, c], { [a]: [3, []], [b]: [1, []], [c]: [2, []] })
    assert.deepEqual(named(before, options), [a, [b, c].sort(byText).join(' ')])
    const after = closureOf([a, b, c], { [a]: [1, []], [b]: [2, []], [c]: [3, []] })
    assert.deepEqual(named(after, options), [[a, b].sort(byText).join(' '), c])
  })

  it('distinguishes ratings that are equal as floating-point numbers', () => {
    const n = 200_000_000
    assert.equal(n * n, (n - 1) * (n + 1))
    for (const [higher, lower] of [
      ['a', 'b'],
      ['b', 'a'],
    ] as const) {
      const closure = closureOf(['a', 'b'], { [higher]: [n, []], [lower]: [n + 1, []] })
      const popularity = parsePopularity(JSON.stringify({ [higher]: n, [lower]: n - 1 }))
      assert.deepEqual(named(closure, { popularity }), [higher, lower])
    }
  })

  it('plans no layers for an empty closure, and refuses an invalid budget', () => {
    assert.deepEqual(plan(closureOf([], {})), { strategy: 'nixery-1', layers: [] })
    for (const maxLayers of [0, -1, 1.5, NaN]) {
      assert.throws(() => plan(closureOf([], {}), { maxLayers }), RangeError)
    }
  })
})

describe('planNixery, for any closure', () => {
  const popularities = fc
    .dictionary(
      fc.nat({ max: 23 }).map((node) => `p${node}`),
      fc.constantFrom(1, 1, 2, 99, 100, 300_000),
    )
    .map((counts): Popularity => parsePopularity(JSON.stringify(counts)))
  const budgets = fc.integer({ min: 1, max: 30 })

  it('puts each path into exactly one layer, sorted, in no more layers than allowed', () => {
    fc.assert(
      fc.property(closures, popularities, budgets, (closure, popularity, maxLayers) => {
        const { layers } = plan(closure, { popularity, maxLayers })
        assert.ok(layers.length <= maxLayers)
        assert.deepEqual(
          layers.flatMap(({ paths }) => paths).sort(byText),
          [...closure.paths.keys()].sort(byText),
        )
        for (const { paths } of layers) {
          assert.ok(paths.length > 0)
          assert.deepEqual(paths, paths.toSorted(byText))
        }
      }),
    )
  })

  it('does not depend on the order of its input', () => {
    fc.assert(
      fc.property(
        closures,
        popularities,
        budgets,
        fc.func(fc.string()),
        (closure, popularity, maxLayers, order) => {
          const options = { popularity, maxLayers }
          assert.deepEqual(plan(shuffled(closure, order), options), plan(closure, options))
          assert.deepEqual(plan(closure, options), plan(closure, options))
        },
      ),
    )
  })

  it('equals a literal implementation of the rules', () => {
    fc.assert(
      fc.property(closures, popularities, budgets, (closure, popularity, maxLayers) => {
        assert.deepEqual(
          plan(closure, { popularity, maxLayers }).layers.map(({ paths }) => paths),
          planLiterally(closure, popularity, maxLayers),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('handles a chain of 10,000 paths', () => {
    const { root, facts } = largeFacts(10_000, 5)
    const walked = walkClosure([root], (path) => facts.get(path))
    assert.ok('closure' in walked)
    const { layers } = plan(walked.closure)
    assert.equal(layers.length, defaultMaxLayers)
    assert.equal(new Set(layers.flatMap(({ paths }) => paths)).size, 10_000)
  })
})

/** The same rules without the algorithms: finds dominators by removing paths. */
function planLiterally(closure: Closure, { counts }: Popularity, maxLayers: number): StorePath[][] {
  const sizes = closureSizes(closure)
  const countOf = (path: StorePath): number => counts.get(storePathName(path)) ?? 1
  const sizeOf = (path: StorePath): number => sizes.get(path) ?? 0
  const paths = [...closure.paths.keys()].sort(byText)
  const starts = [...closure.roots, ...paths.filter((path) => sizeOf(path) > 1e8 || countOf(path) >= 100)]
  const reachedWithout = (removed?: StorePath): Set<StorePath> => {
    const reached = new Set(starts.filter((path) => path !== removed))
    for (const path of reached) {
      for (const to of closure.paths.get(path)?.references ?? []) if (to !== removed) reached.add(to)
    }
    return reached
  }
  const without = new Map(paths.map((path) => [path, reachedWithout(path)]))
  const dominates = (a: StorePath, b: StorePath): boolean => a === b || without.get(a)?.has(b) === false
  const tops = paths.filter((path) => paths.every((other) => other === path || !dominates(other, path)))
  const byRating = tops
    .map((top) => paths.filter((path) => dominates(top, path)))
    .map((members, index) => ({
      members,
      rating:
        BigInt(members.reduce((sum, path) => sum + sizeOf(path), 0)) *
        BigInt(countOf(tops[index] as StorePath)),
    }))
    .sort((a, b) => Number(a.rating - b.rating) || byText(a.members[0] as string, b.members[0] as string))
  while (byRating.length > maxLayers) {
    const [first, second, ...rest] = byRating as [
      (typeof byRating)[0],
      (typeof byRating)[0],
      ...typeof byRating,
    ]
    const members = [...first.members, ...second.members].sort(byText)
    byRating.splice(0, byRating.length, { members, rating: first.rating + second.rating }, ...rest)
  }
  return byRating
    .sort((a, b) => Number(b.rating - a.rating) || byText(a.members[0] as string, b.members[0] as string))
    .map(({ members }) => members)
}
