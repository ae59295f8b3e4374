import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { byText, type StorePath } from '../image/store-path.ts'
import { type Closure, indexClosure, walkClosure } from './graph.ts'
import { closureOf, closures, closureSizes, factsOf, largeFacts, shuffled, storePathOf } from './testing.ts'

const facts = factsOf({
  app: [5, ['lib', 'data']],
  lib: [7, ['libc', 'lib']],
  data: [11, []],
  libc: [13, []],
  other: [17, ['libc']],
})
const lookup = (path: StorePath) => facts.get(path)

describe('walkClosure', () => {
  it('finds exactly the paths that the roots reach', () => {
    const walked = walkClosure([storePathOf('app')], lookup)
    assert.ok('closure' in walked)
    assert.deepEqual(
      [...walked.closure.paths.keys()],
      ['app', 'data', 'lib', 'libc'].map(storePathOf).sort(byText),
    )
    assert.equal(walked.closure.paths.get(storePathOf('data')), facts.get(storePathOf('data')))
  })

  it('keeps the order of the roots, without duplicates', () => {
    const roots = ['other', 'app', 'other', 'libc'].map(storePathOf)
    const walked = walkClosure(roots, lookup)
    assert.ok('closure' in walked)
    assert.deepEqual(walked.closure.roots, ['other', 'app', 'libc'].map(storePathOf))
  })

  it('lists all unknown paths', () => {
    const known = new Map(facts)
    known.delete(storePathOf('libc'))
    known.delete(storePathOf('data'))
    const roots = ['app', 'nowhere', 'other'].map(storePathOf)
    assert.deepEqual(
      walkClosure(roots, (path) => known.get(path)),
      {
        unknown: ['data', 'libc', 'nowhere'].map(storePathOf).sort(byText),
      },
    )
  })

  it('looks up each path once', () => {
    const lookups: StorePath[] = []
    walkClosure(['app', 'other', 'app'].map(storePathOf), (path) => {
      lookups.push(path)
      return facts.get(path)
    })
    assert.deepEqual(lookups.sort(byText), [...facts.keys()].sort(byText))
  })

  it('returns an empty closure without roots', () => {
    assert.deepEqual(walkClosure([], lookup), { closure: { roots: [], paths: new Map() } })
  })

  it('is in byte order and complete for any graph', () => {
    fc.assert(
      fc.property(closures, (closure) => {
        const paths = [...closure.paths.keys()]
        assert.deepEqual(paths, paths.toSorted(byText))
        assert.deepEqual(
          new Set(paths),
          new Set(closure.roots.flatMap((root) => [...reachedFrom(closure, root)])),
        )
      }),
    )
  })
})

describe('closureSizes', () => {
  it('counts shared paths once', () => {
    const sizes = closureSizes(
      closureOf(['top'], {
        top: [1, ['l', 'r']],
        l: [10, ['base']],
        r: [100, ['base', 'r']],
        base: [1000, []],
      }),
    )
    assert.deepEqual(
      ['top', 'l', 'r', 'base'].map((name) => sizes.get(storePathOf(name))),
      [1111, 1010, 1100, 1000],
    )
  })

  it('gives all members of a cycle the same size', () => {
    const sizes = closureSizes(
      closureOf(['a'], { a: [1, ['b']], b: [10, ['c']], c: [100, ['a', 'leaf']], leaf: [1000, []] }),
    )
    assert.deepEqual(
      ['a', 'b', 'c', 'leaf'].map((name) => sizes.get(storePathOf(name))),
      [1111, 1111, 1111, 1000],
    )
  })

  it('agrees with a search from each path', () => {
    fc.assert(
      fc.property(closures, (closure) => {
        assert.deepEqual(closureSizes(closure), sizesBySearch(closure))
      }),
      { numRuns: 500 },
    )
  })

  it('agrees with a search over several blocks of bits, with and without a cycle through all of them', () => {
    const { root, facts: table } = largeFacts(1_300, 3)
    for (const cycle of [false, true]) {
      if (cycle) table.get(storePathOf('p0'))?.references.push(root)
      const walked = walkClosure([root], (path) => table.get(path))
      assert.ok('closure' in walked)
      assert.deepEqual(closureSizes(walked.closure), sizesBySearch(walked.closure))
    }
  })
})

describe('indexClosure', () => {
  it('does not depend on the order of the map', () => {
    fc.assert(
      fc.property(closures, fc.func(fc.string()), (closure, order) => {
        const { paths, narSizes } = indexClosure(closure)
        const other = indexClosure(shuffled(closure, order))
        assert.deepEqual({ paths, narSizes }, { paths: other.paths, narSizes: other.narSizes })
      }),
    )
  })

  it('refuses an incomplete closure', () => {
    const closure = closureOf(['a'], { a: [1, ['b']], b: [1, []] })
    const torn: Closure = {
      ...closure,
      paths: new Map([...closure.paths].filter(([path]) => path !== storePathOf('b'))),
    }
    assert.throws(() => indexClosure(torn), /no facts for \/nix\/store\/\w+-b$/)
  })
})

function reachedFrom(closure: Closure, start: StorePath): Set<StorePath> {
  const reached = new Set([start])
  for (const path of reached) {
    for (const reference of closure.paths.get(path)?.references ?? []) reached.add(reference)
  }
  return reached
}

const sizesBySearch = (closure: Closure): Map<StorePath, number> =>
  new Map(
    Array.from(closure.paths.keys(), (path) => {
      const reached = [...reachedFrom(closure, path)]
      return [path, reached.reduce((sum, one) => sum + (closure.paths.get(one)?.narSize ?? 0), 0)]
    }),
  )
