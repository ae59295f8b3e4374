import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { createBlobs } from '../../src/builds/blobs.ts'
import { isComplete, type Image } from '../../src/builds/image.ts'
import { createHasher } from '../../src/store/hasher.ts'
import type { BlobStore } from '../../src/store/store.ts'
import { collect } from '../../src/upkeep/gc.ts'
import { setCatalogAge, digestsOf, openWorld, type World } from '../../src/upkeep/upkeep-testing.ts'
import { createUses } from '../../src/upkeep/uses.ts'
import { createRandom, type Random } from './random.ts'

export type SlowGcOptions = {
  readonly seed: number
  readonly rounds: number
  readonly say: (line: string) => void
}

// The maximum delay of the slow store's operations, in ms.
const maxDelay = 30

/**
 * Runs garbage collections, some of which fail halfway, over a slow store, while clients pull images that are due for
 * removal. An image that a pull found complete must still be complete afterwards, and a later collection must remove
 * everything.
 * @returns how many pulls found an image, and how many found it removed
 * @throws AssertionError
 */
export async function runSlowGc({ seed, rounds, say }: SlowGcOptions) {
  const random = createRandom(seed)
  const figures = { slowCollections: 0, slowCollectionsFailed: 0, pulledDuringGc: 0, foundRemoved: 0 }
  const folder = await mkdtemp(join(tmpdir(), 'nixery-slow-gc-'))
  try {
    for (let round = 0; round < rounds; round += 1) {
      const world = await openWorld(folder)
      try {
        await oneRound(world, random, figures)
      } catch (error) {
        throw new Error(`seed ${seed}, round ${round}: ${String(error)}`, { cause: error })
      } finally {
        await world.catalog.close()
      }
      say(
        `slow gc ${round + 1}: ${figures.pulledDuringGc} pulled during gc, ${figures.foundRemoved} found removed`,
      )
    }
  } finally {
    await rm(folder, { recursive: true })
  }
  return figures
}

type Figures = Awaited<ReturnType<typeof runSlowGc>>

async function oneRound(world: World, random: Random, figures: Figures): Promise<void> {
  const images: Image[] = []
  for (const name of ['a', 'b', 'c', 'd', 'e'])
    images.push(await world.image(name, ['shared', `${name}1`, `${name}2`], 40))
  setCatalogAge(world.folder, 100)
  const uses = createUses()
  const store = slow(world.store, random, random.chance(0.5) ? 1 + random.below(10) : Infinity)
  const hasher = createHasher(store)
  const blobs = createBlobs({
    store,
    catalog: world.catalog,
    hasher,
    take: (digest, look) => uses.take(digest, look),
  })
  const options = { keepDays: 30, dryRun: false, now: Date.now() / 1000 }
  const pulled: Image[] = []
  const pull = async (image: Image) => {
    await delay(random.below(8 * maxDelay))
    if (await isComplete(blobs, image)) {
      for (const { digest } of Object.values(image.manifests)) uses.noteManifest(digest)
      pulled.push(image)
    } else figures.foundRemoved += 1
  }
  const [collected] = await Promise.allSettled([
    collect({ ...world, store, uses, deleting: (digest) => void blobs.doubt(digest) }, options),
    ...random.some(images, 2).map(pull),
  ])
  figures.slowCollections += 1
  if (collected.status === 'rejected') {
    if (!String(collected.reason).includes('slow store failed')) throw collected.reason
    figures.slowCollectionsFailed += 1
  }
  figures.pulledDuringGc += pulled.length
  const stored = await world.stored()
  for (const digest of digestsOf(...pulled))
    assert.ok(stored.includes(digest), `${digest} was removed although it was pulled`)
  // A later collection, when nothing is in use.
  await collect({ ...world }, { ...options, now: options.now + 60 * 86_400 })
  assert.deepEqual(await world.stored(), [])
  await hasher.close()
}

/** Makes a store slow, and makes its nth deletion fail. */
function slow(store: BlobStore, random: Random, failAt: number): BlobStore {
  let deletions = 0
  const wait = () => delay(random.below(maxDelay))
  return {
    ...store,
    async *list() {
      for await (const blob of store.list()) {
        if (random.chance(0.2)) await wait()
        yield blob
      }
    },
    async stat(digest) {
      await wait()
      return store.stat(digest)
    },
    async delete(digest) {
      deletions += 1
      await wait()
      if (deletions === failAt) throw new Error('slow store failed')
      await store.delete(digest)
      await wait()
    },
  }
}
