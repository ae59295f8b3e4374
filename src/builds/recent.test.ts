import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NixeryError } from '../errors.ts'
import { openTestRegistry } from '../http/testing.ts'
import type { Blobs } from './blobs.ts'
import { createRecent } from './recent.ts'
import type { ImageKey } from '../catalog/catalog.ts'
import { testKey } from '../catalog/keys-testing.ts'

describe('recent images', () => {
  it('use bounded memory', async () => {
    const registry = await openTestRegistry()
    const { blobs, image } = registry
    const recent = createRecent(blobs, 1_000_000)
    const size = JSON.stringify(image).length
    for (let index = 0; index < 5_000; index += 1)
      recent.remember(`image-${index}`, { image, key: testKey(`${index}`) })
    let found = 0
    for (let index = 0; index < 5_000; index += 1) if (await recent.find(`image-${index}`)) found += 1
    assert.ok(found > 10 && found <= 1_000_000 / size, `${found}`)
    assert.ok(await recent.find('image-4999'), 'the newest is cached')
    recent.remember('x'.repeat(2_000_000), { image, key: testKey('too large') })
    assert.ok(await recent.find('image-4999'), 'one that is too large displaces nothing')
    await registry.dispose()
  })

  it('are not current after a blob was lost, until it has been checked', async () => {
    const registry = await openTestRegistry()
    const { blobs, image } = registry
    const recent = createRecent(blobs)
    assert.equal(recent.current('x'), undefined)
    const made = { image, key: testKey<ImageKey>('x') }
    recent.remember('x', made)
    assert.equal(recent.current('x'), made)
    await blobs.doubt(image.config.digest)
    assert.equal(recent.current('x'), undefined)
    assert.equal(await recent.find('x'), made, 'it is there')
    assert.equal(recent.current('x'), made)
    await registry.dispose()
  })

  it('are served while the store is away, without a wait for each', async () => {
    const registry = await openTestRegistry()
    let looks = 0
    const blobs: Blobs = {
      ...registry.blobs,
      find() {
        looks += 1
        return Promise.reject(new NixeryError('STORE_UNAVAILABLE', 'away'))
      },
      losses: 1,
    }
    const recent = createRecent(blobs)
    const made = { image: registry.image, key: testKey<ImageKey>('x') }
    recent.remember('x', made)
    Object.assign(blobs, { losses: 2 }) // so that a check is due
    assert.equal(await recent.find('x'), made)
    const before = looks
    assert.equal(await recent.find('x'), made)
    assert.equal(recent.current('x'), made)
    assert.equal(looks, before)
    await registry.dispose()
  })
})
