import assert from 'node:assert/strict'
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { digestOf, parseDigest } from '../image/digest.ts'
import { openFileStore } from '../store/fs.ts'
import { collect, type CollectDeps } from './gc.ts'
import { ago, setCatalogAge, digestsOf, openWorld, worldOver, type World } from './upkeep-testing.ts'
import { testKey } from '../catalog/keys-testing.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-gc-'))
})
after(() => rm(directory, { recursive: true }))

/** Creates images to remove, images that share layers with them, and unknown blobs; returns what must be kept. */
async function populate(world: World): Promise<string[]> {
  setCatalogAge(world.folder, 100)
  const gone = await world.image('gone', ['shared', 'a', 'b'], 40)
  const stays = await world.image('stays', ['shared', 'c'], 40)
  await world.pulled('stays', 1)
  await world.image('unknown', ['d', 'shared'], 40)
  await world.catalog.upkeep.forgetImages([testKey('unknown')], ago(0))
  await world.index([gone, stays], 40)
  const index = await world.index([stays], 40)
  await world.layer('of a failed build', 40)
  await world.unknownBlob('unreferenced', 40)
  return [...digestsOf(stays), index.digest].sort()
}

type Change = 'rememberImage' | 'forgetImages' | 'withdrawBlobs' | 'delete' | 'forgetBlobs'
/** When to interrupt: before the first change of each kind, and within a batch. */
const moments: readonly (readonly [change: Change, nth: number])[] = [
  ['rememberImage', 1],
  ['forgetImages', 1],
  ['withdrawBlobs', 1],
  ['delete', 1],
  ['delete', 3],
  ['forgetBlobs', 1],
]

/** Throws before the nth change of a kind. */
function interrupted({ store, catalog }: World, [kind, nth]: (typeof moments)[number]): CollectDeps {
  let count = 0
  const change =
    <A extends readonly unknown[], R>(of: Change, work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      if (of === kind && (count += 1) >= nth) throw new Error('interrupted')
      return work(...args)
    }
  const { upkeep } = catalog
  return {
    store: { ...store, delete: change('delete', (digest) => store.delete(digest)) },
    catalog: {
      searchIndexes: catalog.searchIndexes,
      rememberImage: change('rememberImage', (...facts) => catalog.rememberImage(...facts)),
      upkeep: {
        ...upkeep,
        forgetImages: change('forgetImages', (...what) => upkeep.forgetImages(...what)),
        withdrawBlobs: change('withdrawBlobs', (...what) => upkeep.withdrawBlobs(...what)),
        forgetBlobs: change('forgetBlobs', (...what) => upkeep.forgetBlobs(...what)),
      },
    },
  }
}

/** Asserts that all stored manifests and indexes are complete, and that the catalog is correct. */
async function assertConsistent(world: World): Promise<void> {
  const stored = await world.stored()
  for (const name of stored) {
    const bytes = await readFile(world.store.file?.(parseDigest(name)) ?? '')
    assert.equal(digestOf(bytes), name)
    if (bytes[0] !== '{'.codePointAt(0)) continue
    const {
      manifests = [],
      config,
      layers = [],
    } = JSON.parse(bytes.toString()) as {
      manifests?: { digest: string }[]
      config?: { digest?: string }
      layers?: { digest: string }[]
    }
    const parts = [...manifests, ...layers].map(({ digest }) => digest)
    if (config?.digest !== undefined) parts.push(config.digest)
    for (const part of parts) assert.ok(stored.includes(part), `${name} lacks ${part}`)
  }
  for (const text of ['shared', 'a', 'b', 'c', 'd', 'of a failed build']) {
    const size = await world.blobs.find(digestOf(text))
    assert.equal(size, stored.includes(digestOf(text)) ? Buffer.byteLength(text) : undefined)
  }
}

describe('an interrupted garbage collection', () => {
  let original: World
  let kept: string[]
  before(async () => {
    original = await openWorld(directory)
    kept = await populate(original)
    await original.catalog.close()
  })
  /** Opens a copy of it in a new state. */
  const openCopy = async (folder: string) => {
    const store = await openFileStore(join(folder, 'store'))
    return worldOver(folder, store, await openSqliteCatalog(join(folder, 'catalog.db')))
  }

  for (const moment of moments) {
    it(`before ${moment.join(' no. ')} leaves a consistent state, and the next one finishes it`, async () => {
      const folder = join(directory, moment.join('-'))
      await cp(original.folder, folder, { recursive: true, preserveTimestamps: true })
      const world = await openCopy(folder)
      const options = { keepDays: 30, dryRun: false, now: Date.now() / 1000 }
      await assert.rejects(collect(interrupted(world, moment), options), /interrupted/)
      await world.catalog.close()

      const next = await openCopy(folder)
      await assertConsistent(next)
      await collect(next, options)
      assert.deepEqual(await next.stored(), kept)
      assert.equal((await next.catalog.upkeep.blobs({ limit: 99 })).length, kept.length)
      await next.catalog.close()
    })
  }

  it('is prevented by a lock when two start at the same time', async () => {
    const folder = join(directory, 'two')
    await cp(original.folder, folder, { recursive: true, preserveTimestamps: true })
    const world = await openCopy(folder)
    const other = await openSqliteCatalog(join(world.folder, 'catalog.db'))
    const options = { keepDays: 30, dryRun: false, now: Date.now() / 1000 }
    const deps = { store: world.store }
    const outcomes = await Promise.allSettled([
      collect({ ...deps, catalog: world.catalog }, options),
      collect({ ...deps, catalog: other }, options),
    ])
    assert.deepEqual(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    assert.deepEqual(await world.stored(), kept)
    await world.catalog.close()
    await other.close()
  })
})
