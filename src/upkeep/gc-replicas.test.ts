import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Catalog, LayerKey } from '../catalog/catalog.ts'
import { testKey } from '../catalog/keys-testing.ts'
import { openPostgresCatalog } from '../catalog/postgres.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import { openListener } from '../postgres/listener.ts'
import { openPool } from '../postgres/pool.ts'
import { noPostgres, startPostgres, type TestPostgres } from '../postgres/testing.ts'
import { openFileStore } from '../store/fs.ts'
import { collectIn, digestsOf, worldOver, type World } from './upkeep-testing.ts'

async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await holds())) await sleep(10)
}

describe('garbage collection alongside other machines', { skip: noPostgres, timeout: 300_000 }, () => {
  let server: TestPostgres
  let folder: string
  let url: string
  let one: World
  let two: World
  const opened: { close(): Promise<void> }[] = []
  before(async () => {
    server = await startPostgres()
    folder = await mkdtemp(join(tmpdir(), 'nixery-gc-replicas-'))
  })
  beforeEach(async () => {
    url = await server.database()
    const place = await mkdtemp(join(folder, 'w-'))
    const store = await openFileStore(join(place, 'store'))
    const replica = async () => worldOver(place, store, await openCatalog())
    one = await replica()
    two = await replica()
  })
  after(async () => {
    for (const each of opened) await each.close()
    await server.dispose()
    await rm(folder, { recursive: true })
  })

  const openCatalog = async (): Promise<Catalog> => {
    const postgres = await openPool({ url, most: 3 })
    const listener = await openListener({ url, warn: assert.fail })
    const catalog = await openPostgresCatalog({ postgres, directUrl: url, listener, warn: assert.fail })
    opened.push(catalog, listener, postgres)
    return catalog
  }
  const isMarked = async (digest: string) =>
    (await one.catalog.upkeep.blobs({ limit: 99 })).some(
      (blob) => blob.digest === digest && blob.markedAt !== undefined,
    )

  it('marks first and deletes later, except what another machine has found in the meantime', async () => {
    await one.image('gone', ['a', 'shared'], 40)
    const kept = await one.image('kept', ['shared'], 1)
    const unknownBlob = await one.unknownBlob('of another program', 40)
    // The other machine has it in memory.
    assert.equal(await two.blobs.find(digestOf('a')), 1)
    assert.deepEqual(
      await two.catalog.layer(testKey<LayerKey>('layer a')),
      await one.catalog.layer(testKey<LayerKey>('layer a')),
    )
    const first = await collectIn(one, { keepDays: 30, delay: 3600 })
    assert.equal(first.blobs.count, 0)
    assert.equal((await one.stored()).includes(digestOf('a')), true)
    await until(() => isMarked(digestOf('a')))
    assert.equal(await isMarked(digestOf('shared')), false)
    assert.equal(await isMarked(unknownBlob), true)
    // It is notified, so that its next lookup removes the mark.
    await until(async () => {
      await two.blobs.find(digestOf('a'))
      return !(await isMarked(digestOf('a')))
    })
    const second = await collectIn(one, { keepDays: 30, delay: 0 })
    assert.ok(second.blobs.count > 0)
    assert.deepEqual(await one.stored(), [...digestsOf(kept), digestOf('a')].sort())
    // It was not requested again.
    await collectIn(two, { keepDays: 30, delay: 0 })
    await collectIn(two, { keepDays: 30, delay: 0 })
    assert.deepEqual(await one.stored(), digestsOf(kept))
    await until(async () => (await one.catalog.layer(testKey<LayerKey>('layer a'))) === undefined)
  })

  it('removes the marks of blobs that are needed again', async () => {
    const image = await one.image('again', ['a'], 40)
    await collectIn(one, { keepDays: 30, delay: 3600 })
    assert.equal(await isMarked(digestOf('a')), true)
    // Another machine serves it from memory, and records the image again.
    await two.catalog.rememberPulls([
      {
        repository: 'again',
        tag: 'latest',
        architecture: 'amd64',
        image: testKey('again'),
        at: Math.floor(Date.now() / 1000),
        count: 1,
        record: image,
      },
    ])
    await collectIn(one, { keepDays: 30, delay: 0 })
    assert.deepEqual(await one.stored(), digestsOf(image))
    assert.equal(await isMarked(digestOf('a')), false)
  })

  it('makes lookups and stores of a blob wait while it is being deleted', async () => {
    await one.layer('a', 40)
    await collectIn(one, { sizeLimit: 1, delay: 3600 })
    const events: string[] = []
    const deleting = Promise.withResolvers<void>()
    const store = {
      ...one.store,
      async delete(digest: Digest) {
        deleting.resolve()
        await until(async () => (await waiting()) === 2)
        events.push('deleted')
        await one.store.delete(digest)
      },
    }
    // Statements that wait for the row.
    const waiting = async () => {
      const [row] = await server.run(
        url,
        `select count(*)::int as n from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
      )
      return row?.['n']
    }
    const collecting = collectIn({ ...one, store }, { sizeLimit: 1, delay: 0 })
    await deleting.promise
    const third = worldOver(folder, one.store, await openCatalog())
    const finding = two.catalog.blobSize(digestOf('a')).then((size) => events.push(`found ${size}`))
    const storing = third.layer('a').then(() => events.push('stored'))
    await Promise.all([collecting, finding, storing])
    assert.equal(events[0], 'deleted')
    assert.deepEqual(events.toSorted(), ['deleted', 'found undefined', 'stored'])
    assert.deepEqual(await one.stored(), [digestOf('a')])
    assert.equal(await two.blobs.find(digestOf('a')), 1)
  })
})
