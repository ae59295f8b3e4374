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
import { bornAgo, digestsOf, openWorld, type World } from '../../src/upkeep/upkeep-testing.ts'
import { createUses } from '../../src/upkeep/uses.ts'
import { createRandom, type Random } from './random.ts'

export type SlowGcOptions = {
  readonly seed: number
  readonly rounds: number
  readonly say: (line: string) => void
}

// Milliseconds that the slow store takes at most for what changes or lists it.
const slowest = 30

/**
 * Runs garbage collections over a slow store, some of which fail halfway, while images that are due are pulled. A pull
 * that found an image whole must find it whole afterwards, and a later collection must leave nothing behind.
 * @returns how many pulls found an image, and how many found it gone
 * @throws what does not hold
 */
export async function runSlowGc({ seed, rounds, say }: SlowGcOptions) {
  const random = createRandom(seed)
  const figures = { slowCollections: 0, slowCollectionsFailed: 0, pulledMeanwhile: 0, foundGone: 0 }
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
        `slow gc ${round + 1}: ${figures.pulledMeanwhile} pulled meanwhile, ${figures.foundGone} found gone`,
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
  bornAgo(world.folder, 100)
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
    await delay(random.below(8 * slowest))
    if (await isComplete(blobs, image)) {
      for (const { digest } of Object.values(image.manifests)) uses.noteManifest(digest)
      pulled.push(image)
    } else figures.foundGone += 1
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
  figures.pulledMeanwhile += pulled.length
  const stored = await world.stored()
  for (const digest of digestsOf(...pulled))
    assert.ok(stored.includes(digest), `${digest} was pulled, and is gone`)
  // Later, when nothing of this is in use any more.
  await collect({ ...world }, { ...options, now: options.now + 60 * 86_400 })
  assert.deepEqual(await world.stored(), [])
  await hasher.close()
}

/** A store that takes its time, and fails at its nth deletion. */
function slow(store: BlobStore, random: Random, failAt: number): BlobStore {
  let deletions = 0
  const wait = () => delay(random.below(slowest))
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
