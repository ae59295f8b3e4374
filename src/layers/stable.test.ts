import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { type Closure, walkClosure } from '../closure/graph.ts'
import { closureOf, closures, largeFacts, shuffled, storePathOf } from '../closure/testing.ts'
import { byText, parseStorePath, type PathFacts, storePathName, type StorePath } from '../image/store-path.ts'
import { defaultMaxLayers } from './strategies.ts'
import { binCount, binOf, packageName, planStable, smallPath } from './stable.ts'

const layersOf = (closure: Closure, maxLayers = defaultMaxLayers): (readonly StorePath[])[] =>
  planStable(closure, { maxLayers }).layers.map(({ paths }) => paths)

/** The names in each layer of a plan. */
const named = (closure: Closure, maxLayers?: number): string[] =>
  layersOf(closure, maxLayers).map((paths) => paths.map(storePathName).sort(byText).join(' '))

type Table = Record<string, readonly [number, readonly string[]]>
const flat = (table: Table): Closure => closureOf(Object.keys(table), table)
const large = 1_000_000

describe('planStable, by example', () => {
  it('gives each path its own layer, largest first', () => {
    const closure = flat({ a: [large, []], b: [3 * large, ['c']], c: [2 * large, []] })
    assert.deepEqual(named(closure), ['b', 'c', 'a'])
  })

  it('puts small paths into bins, last', () => {
    const closure = flat({
      'a-1': [10, []],
      'e-1': [20, []],
      'i-1': [30, []],
      'f-1': [40, []],
      'b-1': [large, []],
    })
    assert.deepEqual(
      ['f-1', 'a-1', 'i-1', 'e-1'].map((name) => binOf(storePathOf(name), 8)),
      [0, 2, 2, 3],
    )
    assert.deepEqual(named(closure), ['b-1', 'f-1', 'a-1 i-1', 'e-1'])
  })

  it('treats paths below 100,000 bytes as small', () => {
    assert.equal(smallPath, 100_000)
    assert.deepEqual(named(flat({ a: [99_999, []], i: [99_999, []] })), ['a i'])
    assert.deepEqual(named(flat({ a: [99_999, []], i: [100_000, []] })), ['i', 'a'])
  })

  it('puts the smallest paths into bins when there are too many', () => {
    const names = 'abcdefghijklmno'.split('')
    const closure = flat(Object.fromEntries(names.map((name, index) => [name, [large - index, []]])))
    assert.equal(binCount(12), 2)
    assert.deepEqual(named(closure, 12), [...names.slice(0, 10), 'l m', 'k n o'])
    assert.deepEqual(named(closure, 14), [...names.slice(0, 12), 'm', 'n o'])
    assert.deepEqual(named(closure, 15), names)
    assert.deepEqual(named(closure, 2), ['a', names.slice(1).join(' ')])
    assert.deepEqual(named(closure, 1), [names.join(' ')])
  })

  it('breaks ties of sizes by store path', () => {
    const names = ['u', 'v', 'w', 'x']
    const closure = flat(Object.fromEntries(names.map((name) => [name, [large, []]])))
    const paths = names.map(storePathOf).sort(byText)
    assert.deepEqual(layersOf(closure).flat(), paths)
    assert.deepEqual(layersOf(closure, 3), [[paths[0]], [paths[1]], paths.slice(2)])
  })

  it('starts with the paths of every image, then those of a shell, each with its closure', () => {
    const closure = closureOf(['app', 'nss-cacert-3.98', 'bash-interactive-5.2', 'coreutils-9.5', 'nano-8'], {
      app: [900 * large, ['glibc-2.40', 'gmp-6', 'zlib-1.3']],
      'nss-cacert-3.98': [large, []],
      'glibc-2.40': [40 * large, ['glibc-2.40', 'libidn2-2.3']],
      'libidn2-2.3': [50 * large, []],
      'bash-interactive-5.2': [2 * large, ['glibc-2.40', 'ncurses-6.4']],
      'ncurses-6.4': [large, ['glibc-2.40']],
      'coreutils-9.5': [80 * large, ['gmp-6', 'glibc-2.40']],
      'gmp-6': [3 * large, ['glibc-2.40']],
      'nano-8': [70 * large, ['ncurses-6.4', 'glibc-2.40']],
      'zlib-1.3': [950 * large, []],
    })
    assert.deepEqual(named(closure), [
      'nss-cacert-3.98',
      'libidn2-2.3',
      'glibc-2.40',
      'bash-interactive-5.2',
      'ncurses-6.4',
      'coreutils-9.5',
      'gmp-6',
      'nano-8',
      'zlib-1.3',
      'app',
    ])
  })

  it('reports its version', () => {
    assert.deepEqual(planStable(flat({}), { maxLayers: 1 }), { strategy: 'stable-1', layers: [] })
  })

  it('refuses an invalid budget', () => {
    for (const maxLayers of [0, -1, 1.5, NaN]) assert.throws(() => layersOf(flat({}), maxLayers), RangeError)
  })
})

describe('the bin of a path', () => {
  it('depends on the package name as Nix parses it', () => {
    const rows: [name: string, expected: string][] = [
      ['glibc-2.40-66', 'glibc'],
      ['glibc-2.40-66-bin', 'glibc'],
      ['python3.12-requests-2.32.3', 'python3.12-requests'],
      ['bash-interactive-5.2p37', 'bash-interactive'],
      ['libnl-genl-3-200-3.7.0', 'libnl-genl'],
      ['iana-etc-20240318', 'iana-etc'],
      ['hook', 'hook'],
      ['builder.sh', 'builder.sh'],
      ['a-', 'a-'],
      ['a--1', 'a'],
    ]
    for (const [name, expected] of rows) assert.equal(packageName(name), expected)
  })

  it('never changes, since other bins would be other layers', () => {
    const of = (name: string, count: number) => binOf(storePathOf(name), count)
    assert.deepEqual([of('glibc-2.40', 8), of('perl5.38-URI-5', 8), of('xz-5', 5)], [5, 7, 2])
  })

  it('does not depend on hash and version', () => {
    const version = fc.stringMatching(/^[0-9][0-9A-Za-z.+]{0,8}$/)
    const hash = fc.stringMatching(/^[0-9abcdfghijklmnpqrsvwxyz]{32}$/)
    const name = fc.stringMatching(/^[a-z][a-z0-9]{0,9}$/)
    fc.assert(
      fc.property(name, fc.array(fc.tuple(hash, version), { minLength: 2 }), (stem, made) => {
        const paths = made.map(([digest, suffix]) => parseStorePath(`/nix/store/${digest}-${stem}-${suffix}`))
        assert.equal(new Set(paths.map((path) => binOf(path, 8))).size, 1)
      }),
    )
  })

  it('is one of at most 8, and never exceeds the budget', () => {
    for (let maxLayers = 1; maxLayers <= 1000; maxLayers++) {
      const count = binCount(maxLayers)
      assert.ok(count >= 1 && count <= Math.min(8, maxLayers))
    }
    assert.equal(binCount(defaultMaxLayers), 8)
  })
})

describe('planStable, for any closure', () => {
  const budgets = fc.integer({ min: 1, max: 30 })

  it('puts each path into exactly one layer, sorted, in no more layers than allowed', () => {
    fc.assert(
      fc.property(closures, budgets, (closure, maxLayers) => {
        const layers = layersOf(closure, maxLayers)
        assert.ok(layers.length <= maxLayers)
        assert.deepEqual(layers.flat().sort(byText), [...closure.paths.keys()].sort(byText))
        for (const paths of layers) {
          assert.ok(paths.length > 0)
          assert.deepEqual(paths, paths.toSorted(byText))
        }
      }),
    )
  })

  it('does not depend on the order of its input', () => {
    fc.assert(
      fc.property(closures, budgets, fc.func(fc.string()), (closure, maxLayers, order) => {
        assert.deepEqual(layersOf(shuffled(closure, order), maxLayers), layersOf(closure, maxLayers))
      }),
    )
  })

  it('gives as many of the largest paths their own layer as the budget allows', () => {
    fc.assert(
      fc.property(closures, budgets, (closure, maxLayers) => {
        assert.deepEqual(new Set(layersOf(closure, maxLayers).map(text)), planLiterally(closure, maxLayers))
      }),
      { numRuns: 500 },
    )
  })

  /** A closure, and the closure of some of its paths. */
  const grown = fc.tuple(closures, fc.array(fc.nat({ max: 23 }))).map(([all, picks]) => {
    const paths = [...all.paths.keys()]
    const walked = walkClosure(
      picks.flatMap((pick) => paths[pick] ?? []),
      (path) => all.paths.get(path),
    )
    assert.ok('closure' in walked)
    return { some: walked.closure, all }
  })

  it('keeps layers and their order when packages are added within the budget', () => {
    fc.assert(
      fc.property(grown, ({ some, all }) => {
        const before = layersOf(some)
        const shared = layersOf(all)
          .map((paths) => paths.filter((path) => some.paths.has(path)))
          .filter((paths) => paths.length > 0)
        assert.deepEqual(shared, before)
      }),
    )
  })

  it('never mixes two bins in a layer', () => {
    fc.assert(
      fc.property(closures, budgets, (closure, maxLayers) => {
        for (const paths of layersOf(closure, maxLayers)) {
          assert.equal(new Set(paths.map((path) => binOf(path, binCount(maxLayers)))).size, 1)
        }
      }),
    )
  })

  it('handles a chain of 10,000 paths', (context) => {
    const { root, facts } = largeFacts(10_000, 5)
    const started = performance.now()
    const walked = walkClosure([root], (path) => facts.get(path))
    assert.ok('closure' in walked)
    const layers = layersOf(walked.closure)
    context.diagnostic(`graph and plan: ${(performance.now() - started).toFixed(0)} ms`)
    assert.equal(layers.length, defaultMaxLayers)
    assert.equal(new Set(layers.flat()).size, 10_000)
  })
})

const text = (paths: readonly StorePath[]): string => paths.join(' ')

/** The same rules, by trying every number of single paths. */
function planLiterally(closure: Closure, maxLayers: number): Set<string> {
  const sizeOf = (path: StorePath): number => (closure.paths.get(path) as PathFacts).narSize
  const largestFirst = [...closure.paths.keys()].sort((a, b) => sizeOf(b) - sizeOf(a) || byText(a, b))
  const enough = largestFirst.filter((path) => sizeOf(path) >= 100_000).length
  const plans = Array.from({ length: enough + 1 }, (_, alone) => {
    const rest = Map.groupBy(largestFirst.slice(alone), (path) => binOf(path, binCount(maxLayers)))
    const bins = [...rest.values()].map((paths) => text(paths.sort(byText)))
    return new Set([...largestFirst.slice(0, alone), ...bins])
  })
  return plans.findLast(({ size }) => size <= maxLayers) ?? new Set()
}
