import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { cachedPopularImages } from './popular-images.ts'

describe('popular images', () => {
  it('are looked up once a minute, and again after a failure', async () => {
    let lookups = 0
    let time = 0
    let fails = true
    const popular = cachedPopularImages(
      {
        catalog: {
          mostPulled: () => {
            lookups += 1
            return fails ? Promise.reject(new Error('the catalog is away')) : Promise.resolve([])
          },
        },
        parse: () => assert.fail('there is no name'),
        estimate: () => assert.fail('there is no image'),
      },
      () => time,
    )
    await assert.rejects(popular(), /is away/)
    fails = false
    assert.deepEqual(await popular(), [])
    await popular()
    assert.equal(lookups, 2)
    time = 60_001
    await popular()
    assert.equal(lookups, 3)
  })
})
