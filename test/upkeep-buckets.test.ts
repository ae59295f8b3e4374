import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openSqliteCatalog } from '../src/catalog/sqlite.ts'
import { digestOf, hexOf } from '../src/image/digest.ts'
import { createHasher } from '../src/store/hasher.ts'
import { collect } from '../src/upkeep/gc.ts'
import { scrub } from '../src/upkeep/scrub.ts'
import { ago, digestsOf, worldOver, type World } from '../src/upkeep/upkeep-testing.ts'
import { kinds, startBuckets, type Buckets } from './support/buckets.ts'

let buckets: Buckets
before(async () => {
  buckets = await startBuckets()
})
after(() => buckets?.stop())

for (const kind of kinds) {
  describe(`upkeep of a bucket in ${kind}`, () => {
    let bucket: string
    let world: World
    before(async () => {
      bucket = await buckets.services[kind].makeBucket()
      world = worldOver(
        '/nowhere',
        await buckets.services[kind].open(bucket),
        await openSqliteCatalog(':memory:'),
      )
    })
    const stored = async () => {
      const digests: string[] = []
      for await (const { digest } of world.store.list()) digests.push(digest)
      return digests.sort()
    }

    it('removes images that are no longer pulled', async () => {
      await world.image('old', ['shared', 'a'])
      const stays = await world.image('stays', ['shared', 'b'])
      const index = await world.index([stays])
      await world.unknownBlob('of the original')
      // The times of objects cannot be changed, so the collection runs with a later time.
      await world.pulled('stays', -50)
      await collect({ ...world }, { keepDays: 30, dryRun: false, now: ago(-60) })
      assert.deepEqual(await stored(), [...digestsOf(stays), index.digest].sort())
    })

    it('finds damaged blobs', async () => {
      const bad = digestOf('one')
      await buckets.services[kind].writeObject(
        bucket,
        `layers/${hexOf(bad)}`,
        'application/octet-stream',
        Buffer.from('another'),
      )
      await world.catalog.rememberBlob(bad, 7)
      const count = (await stored()).length
      const hasher = createHasher(world.store)
      const { damaged, checked } = await scrub({ ...world, hasher }, { dryRun: false })
      assert.deepEqual([damaged.map(({ digest }) => digest), checked], [[bad], count])
      assert.equal((await stored()).length, count - 1)
      assert.equal(await world.catalog.blobSize(bad), undefined)
    })
  })
}
