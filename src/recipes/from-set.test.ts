import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NixeryError } from '../errors.ts'
import { amd64 } from '../image/platform.ts'
import type { ImageLookUp } from '../nix/image-recipes.ts'
import type { RecipePlace } from './book.ts'
import { createSetRecipes } from './from-set.ts'

describe('the recipes of a package set', () => {
  it('are evaluated only for clients that may build, and are then known to all', async () => {
    const asked: (string | undefined)[] = []
    const nix = {
      evaluateImage: ({ image }: ImageLookUp) => {
        asked.push(image)
        return Promise.resolve(
          image === undefined ? { names: ['web'] } : { recipe: { packages: ['hello'] }, roots: [] },
        )
      },
    }
    const recipes = createSetRecipes({
      nix,
      policy: { config: {}, overlays: [] },
    })
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
    assert.deepEqual(asked, [])

    const own = await recipes.own('web', place)
    assert.deepEqual(await recipes.own('web', refused), own)
    assert.deepEqual(await recipes.names(place), ['web'])
    assert.deepEqual(await recipes.names(refused), ['web'])
    assert.deepEqual(asked, ['web', undefined])
  })
})
