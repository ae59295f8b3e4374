import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import type { Catalog } from './catalog.ts'
import { testKey } from './keys-testing.ts'

/** Tests for marks of blobs that will be deleted later; a part of `conformance.ts`. */
export function describeMarks(name: string, open: () => Promise<Catalog>): void {
  describe(`${name}, for blobs to delete`, () => {
    const [one, two, three] = ['one', 'two', 'three'].map((text) => digestOf(text)).sort() as [
      ReturnType<typeof digestOf>,
      ReturnType<typeof digestOf>,
      ReturnType<typeof digestOf>,
    ]
    const blobs = [one, two, three].map((digest) => ({ digest, size: 5 }))
    const states = async (catalog: Catalog) =>
      (await catalog.upkeep.blobs({ limit: 9 })).map(({ markedAt }) => markedAt !== undefined)

    it('removes the mark of a blob that is looked up, stored again or needed', async () => {
      const catalog = await open()
      const { marks } = catalog.upkeep
      await catalog.rememberBlob(one, 5)
      await marks.add(blobs)
      assert.deepEqual(await states(catalog), [true, true, true])
      assert.equal(await catalog.blobSize(one), 5)
      await catalog.rememberBlob(two, 5)
      await marks.remove([three])
      assert.deepEqual(await states(catalog), [false, false, false])
      await catalog.close()
    })

    it('deletes blobs that were marked long enough, with everything in them', async () => {
      const catalog = await open()
      const { marks } = catalog.upkeep
      const layer = { digest: one, diffId: two, size: 5, compression: 'gzip' } as const
      await catalog.rememberLayer(testKey('l'), layer, [])
      await marks.add(blobs)
      assert.deepEqual(await catalog.layer(testKey('l')), layer)
      await marks.delete([one, two, three], 3600, () => assert.fail('it is too early'))
      await marks.remove([two])
      const removed: string[] = []
      await marks.delete([one, two, three], 0, (digest) => {
        removed.push(digest)
        return Promise.resolve(digest !== three)
      })
      assert.deepEqual(removed, [one, three])
      assert.deepEqual(
        (await catalog.upkeep.blobs({ limit: 9 })).map(({ digest }) => digest),
        [two, three],
      )
      assert.equal(await catalog.layer(testKey('l')), undefined)
      assert.equal(await catalog.blobSize(one), undefined)
      await catalog.close()
    })

    it('remembers logouts until the sessions would have expired', async () => {
      const catalog = await open()
      const { logouts } = catalog
      const now = Date.now() / 1000
      const sessions = ['a', 'b', 'c%']
      const known = () => Promise.all(sessions.map((session) => logouts.has(session)))
      await logouts.add('a', now - 1)
      await logouts.add('b', now + 60)
      await logouts.add('b', now + 60)
      assert.deepEqual(await known(), [false, true, false])
      await catalog.close()
    })

    it('remembers the last scrub', async () => {
      const catalog = await open()
      const { scrubs } = catalog.upkeep
      assert.equal(await scrubs.last(JSON.parse), undefined)
      for (const damaged of [1, 2]) await scrubs.remember({ damaged })
      assert.deepEqual(await scrubs.last(JSON.parse), { damaged: 2 })
      await catalog.close()
    })
  })
}
