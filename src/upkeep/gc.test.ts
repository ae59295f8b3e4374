import assert from 'node:assert/strict'
import { readdir, rm, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { hasCode } from '../errors.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import type { CollectOptions } from './gc.ts'
import { ago, collectIn, digestsOf, openWorldForEach, type World } from './upkeep-testing.ts'
import { parseAny, testKey } from '../catalog/keys-testing.ts'

let world: World
openWorldForEach((opened) => (world = opened))

const gc = (options: Partial<CollectOptions> = {}, inUse: readonly Digest[] = []) =>
  collectIn(world, options, inUse)
const imageKeys = async () =>
  (await world.catalog.upkeep.images({ limit: 100 }, parseAny)).map(({ key }) => key)

describe('garbage collection', () => {
  it('removes images that were not pulled within the time, but not layers shared with others', async () => {
    await world.image('old', ['glibc', 'git'], 40)
    const other = await world.image('other', ['glibc', 'htop'], 40)
    await world.pulled('old', 31)
    await world.pulled('other', 29)
    const collected = await gc({ keepDays: 30 })
    assert.deepEqual(await world.stored(), digestsOf(other))
    assert.deepEqual(await imageKeys(), ['other'])
    assert.equal(await world.catalog.layer(testKey('layer git')), undefined)
    assert.equal(await world.catalog.blobSize(digestOf('git')), undefined)
    assert.notEqual(await world.catalog.layer(testKey('layer glibc')), undefined)
    assert.deepEqual((await world.catalog.members([testKey('member git'), testKey('member glibc')])).size, 1)
    assert.deepEqual(await world.catalog.repositories({ limit: 9 }), ['of/other'])
    assert.equal(collected.images[0]?.names[0]?.repository, 'of/old')
    assert.deepEqual([collected.images.length, collected.imagesKept], [1, 1])
    assert.deepEqual([collected.blobs.count, collected.blobsKept.count], [4, 5])
  })

  it('uses the build time of images that were never pulled', async () => {
    const young = await world.image('young', ['a'], 5)
    await world.image('old', ['b'], 11)
    await gc({ keepDays: 10 })
    assert.deepEqual(await world.stored(), digestsOf(young))
  })

  it('keeps images forever by default, and unknown blobs of any age', async () => {
    const old = await world.image('old', ['a'], 4_000)
    const unknown = await world.unknownBlob('of the original', 4_000)
    await world.layer('of a failed build', 1)
    await world.layer('of a running build')
    await gc()
    assert.deepEqual(
      await world.stored(),
      [...digestsOf(old), unknown, digestOf('of a running build')].sort(),
    )
  })

  it('keeps images and indexes that were pulled by digest', async () => {
    const byDigest = await world.image('by digest', ['a'], 40)
    const listed = await world.image('listed', ['b'], 40)
    await world.image('neither', ['c'], 40)
    const index = await world.index([listed], 40)
    await world.catalog.rememberUses(
      new Map([
        [byDigest.manifests.docker.digest, ago(1)],
        [index.digest, ago(1)],
      ]),
    )
    await gc({ keepDays: 30 })
    assert.deepEqual(await world.stored(), [...digestsOf(byDigest, listed), index.digest].sort())
    await gc({ keepDays: 30, now: ago(-60) })
    assert.deepEqual(await world.stored(), [])
  })

  it('removes an index when one of its images is removed', async () => {
    const gone = await world.image('gone', ['a'], 40)
    const stays = await world.image('stays', ['b'], 20)
    await world.index([gone, stays], 40)
    const whole = await world.index([stays], 40)
    for (let round = 0; round < 2; round += 1) {
      await gc({ keepDays: 30 })
      assert.deepEqual(await world.stored(), [...digestsOf(stays), whole.digest].sort())
    }
  })

  it('removes the least recently pulled images to stay within the limit', async () => {
    const big = 'x'.repeat(100_000)
    const images = []
    for (const [index, days] of [4, 1, 3, 2].entries()) {
      images.push(await world.image(`${index}`, ['shared', `${index} ${big}`], 10))
      await world.pulled(`${index}`, days)
    }
    const [, second, , fourth] = images
    assert.ok(second && fourth)
    const { images: gone } = await gc({ sizeLimit: 250_000 })
    assert.deepEqual(
      gone.map(({ names }) => names[0]?.repository),
      ['of/0', 'of/2'],
    )
    assert.deepEqual(await world.stored(), digestsOf(second, fourth))
    // A new image is kept anyway.
    const fresh = await world.image('fresh', [`fresh ${big}`])
    await gc({ sizeLimit: 1 })
    assert.deepEqual(await world.stored(), digestsOf(fresh))
  })

  it('recovers images from their manifests when the catalog is lost, with the age of the new catalog', async () => {
    const image = await world.image('image', ['a', 'b'], 400)
    const index = await world.index([image], 400)
    await world.unknownBlob('unreferenced', 400)
    await world.catalog.close()
    for (const end of ['', '-wal', '-shm']) await rm(join(world.folder, `catalog.db${end}`), { force: true })
    const catalog = await openSqliteCatalog(join(world.folder, 'catalog.db'))
    world = { ...world, catalog }
    const kept = [...digestsOf(image), index.digest].sort()
    for (let round = 0; round < 2; round += 1) {
      await gc({ keepDays: 30 })
      assert.deepEqual(await world.stored(), kept)
    }
    // Two forms of one manifest, and the index: the catalog knows them again.
    assert.equal((await imageKeys()).length, 3)
    await gc({ keepDays: 30, now: ago(-29) })
    assert.deepEqual(await world.stored(), kept)
    await gc({ keepDays: 30, now: ago(-31) })
    assert.deepEqual(await world.stored(), [])
    assert.deepEqual(await imageKeys(), [])
  })

  it('keeps the blobs of an image that a later version has written as long as it is pulled', async () => {
    const image = await world.image('of later', ['a'], 40)
    await world.catalog.rememberImage(testKey('of later'), { form: 3 }, ago(40))
    await world.pulled('of later', 20)
    await gc({ keepDays: 30 })
    assert.deepEqual(await world.stored(), digestsOf(image))
    await gc({ keepDays: 30, now: ago(-31) })
    assert.deepEqual(await world.stored(), [])
  })

  it('reports why images and blobs are kept', async () => {
    const used = await world.image('used', ['a'], 40)
    await world.image('recent', ['b'])
    await world.image('not due', ['c'], 20)
    await world.layer('of a build')
    const { reasons } = await gc({ keepDays: 30 }, [used.manifests.oci.digest])
    assert.deepEqual(reasons, {
      images: { recent: 1, inUse: 1, notDue: 1 },
      blobs: { ofImages: 12, inUse: 0, recent: 1, others: 0 },
    })
  })

  it('changes nothing in a dry run, with the same report', async () => {
    await world.image('old', ['a'], 40)
    await world.unknownBlob('{"layers":[],"config":{"digest":"sha256:x"}}', 40)
    const initial = [await world.stored(), await imageKeys()]
    const planned = await gc({ keepDays: 30, dryRun: true })
    assert.deepEqual([await world.stored(), await imageKeys()], initial)
    const done = await gc({ keepDays: 30 })
    assert.deepEqual(planned, done)
    assert.deepEqual(await world.stored(), [])
  })

  it('removes files of interrupted builds, but not those of running ones', async () => {
    const spool = world.store.spoolDirectory
    await writeFile(join(spool, 'old'), 'x')
    await utimes(join(spool, 'old'), ago(1), ago(1))
    await writeFile(join(spool, 'new'), 'x')
    assert.equal((await gc()).leftovers, 1)
    assert.deepEqual(await readdir(spool), ['new'])
  })

  it('removes nothing when the catalog fails', async () => {
    await world.image('image', ['a'], 40)
    const all = await world.stored()
    await world.catalog.close()
    await assert.rejects(gc({ keepDays: 30 }), (error) => hasCode(error, 'STORE_UNAVAILABLE'))
    assert.deepEqual(await world.stored(), all)
  })
})
