import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Catalog, ResolutionKey } from '../catalog/catalog.ts'
import { NixeryError } from '../errors.ts'
import { amd64 } from '../image/platform.ts'
import type { ImageLookUp } from '../nix/image-recipes.ts'
import type { RecipePlace } from './book.ts'
import { createSetRecipes } from './from-set.ts'

describe('the recipes of a package set', () => {
  it('are evaluated only for clients that may build, and then cached for all', async () => {
    const evaluations: (string | undefined)[] = []
    const nix = {
      evaluateImage: ({ image }: ImageLookUp) => {
        evaluations.push(image)
        if (image === undefined) return Promise.resolve({ names: ['web'] })
        if (image !== 'web') return Promise.resolve({ missing: true } as const)
        return Promise.resolve({ recipe: { packages: ['hello'] }, roots: [] })
      },
    }
    const kept = new Map<ResolutionKey, object>()
    const catalog = {
      resolutions: <T>(keys: readonly ResolutionKey[], parse: (text: string) => T | undefined) => {
        const found = keys.flatMap((key) => {
          const value = kept.has(key) ? parse(JSON.stringify(kept.get(key))) : undefined
          return value === undefined ? [] : [[key, value] as const]
        })
        return Promise.resolve(new Map(found))
      },
      rememberResolutions: (fresh: ReadonlyMap<ResolutionKey, object>) => {
        for (const [key, value] of fresh) kept.set(key, value)
        return Promise.resolve()
      },
    } as Pick<Catalog, 'resolutions' | 'rememberResolutions'>
    const rest: Promise<unknown>[] = []
    const later = (work: Promise<unknown>) => void rest.push(work)
    const open = () => createSetRecipes({ nix, policy: { config: {}, overlays: [] }, catalog, later })
    const recipes = open()
    const pinned = { set: { folder: '/set' }, revision: 'r', unchanged: () => Promise.resolve(true) }
    const place: RecipePlace = { pinned, platform: amd64 }
    const refused: RecipePlace = {
      ...place,
      enter() {
        throw new NixeryError('NOT_READY', 'not ready')
      },
    }

    await assert.rejects(recipes.names(refused), { code: 'NOT_READY' })
    await assert.rejects(recipes.own('web', refused), { code: 'NOT_READY' })
    assert.deepEqual(evaluations, [])

    const own = await recipes.own('web', place)
    assert.deepEqual(await recipes.own('web', refused), own)
    assert.deepEqual(await recipes.names(place), ['web'])
    assert.deepEqual(await recipes.names(refused), ['web'])
    assert.deepEqual(evaluations, ['web', undefined])

    // A restart does not evaluate again, unless the results were removed.
    await Promise.all(rest)
    const restarted = open()
    assert.deepEqual(await restarted.own('web', refused), own)
    assert.deepEqual(await restarted.names(refused), ['web'])
    assert.deepEqual(evaluations, ['web', undefined])
    assert.deepEqual(await restarted.own('web', { ...place, again: true }), own)
    assert.deepEqual(evaluations, ['web', undefined, 'web'])
    await Promise.all(rest)

    // Nothing is stored for a name that a client made up.
    const stored = kept.size
    assert.equal(await restarted.own('made-up', place), undefined)
    assert.equal(await restarted.own('made-up', place), undefined)
    await Promise.all(rest)
    assert.equal(kept.size, stored)
    assert.deepEqual(evaluations, ['web', undefined, 'web', 'made-up'])
  })
})
