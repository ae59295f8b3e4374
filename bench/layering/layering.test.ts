import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { closureOf, closures, storePathOf as pathOf } from '../../src/closure/testing.ts'
import { byText, type PathFacts, storePathName, type StorePath } from '../../src/image/store-path.ts'
import type { PlannedLayer } from '../../src/layers/strategy.ts'
import { syntheticWorld } from './large-worlds.ts'
import { layerings } from './layerings.ts'
import { onePathEach, popularAlone, sizeFirst } from './peers.ts'
import { simulate } from './simulation.ts'
import { closureIn, randomImages, updated } from './world.ts'

const named = (layers: readonly PlannedLayer[]): string[] =>
  layers.map(({ paths }) => paths.map(storePathName).sort(byText).join(' '))

describe('layerings of other programs', () => {
  const closure = closureOf(['app', 'tool'], {
    app: [50, ['lib', 'data']],
    tool: [10, ['lib']],
    lib: [40, ['libc']],
    data: [5, []],
    libc: [30, []],
  })

  it('groups paths that the same large paths need', () => {
    // The first cut is app; the second is lib, which separates libc from app. No cut needs tool.
    assert.deepEqual(named(sizeFirst(closure, 2)), ['tool', 'app data lib libc'])
    assert.deepEqual(named(sizeFirst(closure, 3)), ['lib libc', 'tool', 'app data'])
    assert.deepEqual(named(sizeFirst(closure, 5)).sort(byText), ['app', 'data', 'lib', 'libc', 'tool'])
  })

  it('puts the most popular paths into separate layers', () => {
    assert.deepEqual(named(popularAlone(closure, 3)), ['libc', 'lib', 'app data tool'])
    assert.equal(popularAlone(closure, 5).length, 5)
  })

  it('puts each path into one layer, and keeps the budget', () => {
    fc.assert(
      fc.property(closures, fc.integer({ min: 2, max: 30 }), (any, maxLayers) => {
        const all = [...any.paths.keys()].sort(byText)
        for (const layering of [sizeFirst, popularAlone]) {
          const layers = layering(any, maxLayers)
          assert.ok(layers.length <= maxLayers)
          assert.deepEqual(layers.flatMap(({ paths }) => paths).sort(byText), all)
        }
      }),
    )
  })
})

describe('a trace', () => {
  const world = syntheticWorld(200, 6)
  const options = { images: 8, changes: 0.05, seed: 7 }

  it('is determined by the seed', () => {
    assert.deepEqual(syntheticWorld(200, 6), world)
    assert.deepEqual(simulate(world, layerings, options), simulate(world, layerings, options))
    assert.notDeepEqual(
      simulate(world, layerings, { ...options, seed: 8 }),
      simulate(world, layerings, options),
    )
  })

  it('changes exactly the paths that refer to a changed path', () => {
    const later = updated(world, 0.05, 7)
    const kept = new Set([...later.paths.keys()].filter((path) => world.paths.has(path)))
    assert.ok(kept.size > 0 && kept.size < world.paths.size)
    assert.equal(later.paths.size, world.paths.size)
    for (const { storePath, references } of later.paths.values()) {
      if (kept.has(storePath)) assert.ok(references.every((path) => kept.has(path)))
      assert.ok(references.every((path) => later.paths.has(path)))
    }
    const renamed = [...world.packages].filter(([name, path]) => later.packages.get(name) !== path)
    assert.ok(renamed.length > 0)
  })

  it('costs each path once with one layer per path', () => {
    const chosen = randomImages(world, options.images, options.seed)
    const paths = new Map<StorePath, PathFacts>()
    const pull = (of: typeof world): number => {
      const before = paths.size
      let bytes = 0
      for (const image of chosen) {
        for (const [path, facts] of closureIn(of, image).paths) {
          if (!paths.has(path)) bytes += facts.narSize
          paths.set(path, facts)
        }
      }
      assert.ok(paths.size > before)
      return bytes
    }
    const { first, again } = simulate(world, { each: onePathEach }, options).each
    assert.deepEqual([first.bytes, again.bytes], [pull(world), pull(updated(world, 0.05, options.seed))])
    assert.equal(first.requests + again.requests, paths.size + 2 * options.images)
  })

  it('counts the leading layers that images share', () => {
    const { paths } = closureOf(['a'], { a: [1, []] })
    const tiny = { name: 'tiny', packages: new Map([['a', pathOf('a')]]), paths }
    const { same } = simulate(tiny, { same: onePathEach }, { images: 3, changes: 0, seed: 1 })
    assert.deepEqual(same.first, {
      images: 3,
      bytes: 1,
      requests: 4,
      layers: 3,
      mostLayers: 1,
      prefixLayers: 2,
      prefixBytes: 2,
      imageBytes: 3,
    })
    assert.deepEqual(same.again, { ...same.first, bytes: 0, requests: 3 })
  })
})
