import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { createBlobs } from '../builds/blobs.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import { createHasher } from '../store/hasher.ts'
import type { BlobStore } from '../store/store.ts'
import { collect, OtherGc, type CollectOptions } from './gc.ts'
import { createUses } from './uses.ts'
import { ago, collectIn, digestsOf, openWorldForEach, type World } from './upkeep-testing.ts'
import { testKey } from '../catalog/keys-testing.ts'

let world: World
openWorldForEach((opened) => (world = opened))

const gc = (options: Partial<CollectOptions> = {}, inUse: readonly Digest[] = []) =>
  collectIn(world, options, inUse)

describe('garbage collection alongside pulls, builds and other processes', () => {
  it('keeps a blob that comes into use just before its deletion, and reports it missing afterwards', async () => {
    const digests: Digest[] = []
    for (let index = 0; index < 5; index += 1) digests.push(await world.layer(`unused ${index}`, 40))
    const uses = createUses()
    const blobs = createBlobs({ ...world, hasher: createHasher(world.store), take: uses.take.bind(uses) })
    const started: Digest[] = []
    const found = new Map<Digest, Promise<number | undefined>>()
    // A slow store: while it deletes the first blob, requests for all blobs arrive.
    const store: BlobStore = {
      ...world.store,
      async delete(digest) {
        started.push(digest)
        for (const one of digests) if (!found.has(one)) found.set(one, blobs.find(one))
        await setTimeout(20)
        await world.store.delete(digest)
      },
    }
    const { blobs: gone } = await collect(
      { ...world, store, uses },
      { dryRun: false, now: Date.now() / 1000 },
    )
    const [first] = started
    assert.deepEqual([gone.count, started.length], [1, 1])
    const left = digests.filter((digest) => digest !== first).sort()
    assert.deepEqual(await world.stored(), left)
    for (const digest of digests) {
      assert.equal(await found.get(digest), digest === first ? undefined : 'unused 0'.length)
      assert.equal(await blobs.find(digest), digest === first ? undefined : 'unused 0'.length)
    }
  })

  it('keeps the image of a pull by another process just before the deletion', async () => {
    const image = await world.image('old', ['a', 'b'], 40)
    const layers = [digestOf('a'), digestOf('b')]
    const store: BlobStore = {
      ...world.store,
      async delete(digest) {
        await world.catalog.rememberPulls([
          { repository: 'r', tag: 't', architecture: 'amd64', image: testKey('late'), at: ago(0), count: 1 },
        ])
        await world.catalog.rememberImage(testKey('late'), image)
        await world.store.delete(digest)
      },
    }
    await collect({ ...world, store }, { keepDays: 30, dryRun: false, now: Date.now() / 1000 })
    // All except the manifest that was deleted first.
    assert.equal((await world.stored()).length, 4)
    for (const layer of layers) assert.ok((await world.stored()).includes(layer))
  })

  it('is not run by two processes at the same time', async () => {
    await world.image('old', ['a'], 40)
    const lead = await world.catalog.upkeep.lock('upkeep')
    const other = await openSqliteCatalog(join(world.folder, 'catalog.db'))
    await assert.rejects(gc({ keepDays: 30 }), OtherGc)
    assert.equal(await other.upkeep.lock('upkeep'), undefined)
    await lead?.release()
    await gc({ keepDays: 30 })
    assert.deepEqual(await world.stored(), [])
    await other.close()
  })

  it('keeps blobs that a pull or a build uses', async () => {
    const pulled = await world.image('pulled', ['a', 'b'], 40)
    const listed = await world.image('listed', ['c'], 40)
    const index = await world.index([listed], 40)
    await world.layer('of a build', 40)
    await gc({ keepDays: 30, sizeLimit: 1 }, [
      pulled.manifests.oci.digest,
      index.digest,
      digestOf('of a build'),
    ])
    assert.deepEqual(
      await world.stored(),
      [...digestsOf(pulled, listed), index.digest, digestOf('of a build')].sort(),
    )
  })

  it('keeps blobs of images that were pulled or built in the meantime', async () => {
    await world.image('old', ['a'], 40)
    for (let index = 0; index < 60; index += 1) await world.layer(`unused ${index}`, 40)
    let last: Digest | undefined
    const store: BlobStore = {
      ...world.store,
      async *list() {
        for await (const blob of world.store.list()) {
          if (blob.size > 1 && blob.size < 20) last = blob.digest
          yield blob
        }
      },
      async delete(digest) {
        // Another process builds an image with a layer that it still knows.
        assert.ok(last)
        const late = { manifests: {}, config: { digest: last }, layers: [] }
        await world.catalog.rememberImage(testKey('late'), late)
        return world.store.delete(digest)
      },
    }
    const now = Math.floor(Date.now() / 1000)
    await collect({ ...world, store }, { keepDays: 30, dryRun: false, now })
    assert.deepEqual(await world.stored(), [last])
  })
})
