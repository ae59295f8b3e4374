import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { digestOf, parseDigest } from '../image/digest.ts'
import { collect, type CollectDeps } from './gc.ts'
import { ago, bornAgo, digestsOf, openWorld, worldOver, type World } from './upkeep-testing.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-gc-'))
})
after(() => rm(directory, { recursive: true }))

/** Images of which some go, some share layers with those, and blobs of nobody; with what is to stay. */
async function furnish(world: World): Promise<string[]> {
  bornAgo(world.folder, 100)
  const gone = await world.image('gone', ['shared', 'a', 'b'], 40)
  const stays = await world.image('stays', ['shared', 'c'], 40)
  await world.pulled('stays', 1)
  await world.image('unknown', ['d', 'shared'], 40)
  await world.catalog.upkeep.forgetImages(['unknown'], ago(0))
  await world.index([gone, stays], 40)
  const index = await world.index([stays], 40)
  await world.layer('of a failed build', 40)
  await world.stranger('nobody’s', 40)
  return [...digestsOf(stays), index.digest].sort()
}

/** Ends the work at the nth change, before it is made or after. */
function interrupted({ store, catalog }: World, n: number, when: 'before' | 'after'): CollectDeps {
  let count = 0
  const change =
    <A extends readonly unknown[], R>(work: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      count += 1
      if (count === n && when === 'before') throw new Error('interrupted')
      const result = await work(...args)
      if (count === n) throw new Error('interrupted')
      return result
    }
  const { upkeep } = catalog
  return {
    store: { ...store, delete: change((digest) => store.delete(digest)) },
    catalog: {
      rememberImage: change((...facts) => catalog.rememberImage(...facts)),
      upkeep: {
        ...upkeep,
        forgetImages: change((...what) => upkeep.forgetImages(...what)),
        withdrawBlobs: change((...what) => upkeep.withdrawBlobs(...what)),
        forgetBlobs: change((...what) => upkeep.forgetBlobs(...what)),
      },
    },
  }
}

/** Every manifest and index that is there has all that it refers to, and nothing is believed that is not so. */
async function assertSound(world: World): Promise<void> {
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

describe('cleaning up that is interrupted', () => {
  for (const when of ['before', 'after'] as const) {
    it(`${when} any of its changes leaves nothing that is wrong, and is finished by the next`, async () => {
      let n = 0
      for (let ended = false; !ended;) {
        n += 1
        const world = await openWorld(directory)
        const kept = await furnish(world)
        const options = { keepDays: 30, dryRun: false, now: Date.now() / 1000 }
        try {
          await collect(interrupted(world, n, when), options)
          ended = true
        } catch (error) {
          assert.match(String(error), /interrupted/)
        }
        await world.catalog.close()
        // Another process, which remembers nothing.
        const catalog = await openSqliteCatalog(join(world.folder, 'catalog.db'))
        const next = worldOver(world.folder, world.store, catalog)
        await assertSound(next)
        await collect(next, options)
        assert.deepEqual(await next.stored(), kept, `interrupted at change ${n}`)
        assert.deepEqual((await catalog.upkeep.blobs({ limit: 99 })).length, kept.length)
        await catalog.close()
      }
      assert.ok(n > 10)
    })
  }

  it('by another at the same time excludes the other, and does what one would', async () => {
    const world = await openWorld(directory)
    const kept = await furnish(world)
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
