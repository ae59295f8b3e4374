import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { createHasher, type Hasher } from '../store/hasher.ts'
import type { BlobStore } from '../store/store.ts'
import { scrub } from './scrub.ts'
import { openWorld, type World } from './upkeep-testing.ts'
import { testKey } from '../catalog/keys-testing.ts'

let directory: string
let world: World
let hasher: Hasher
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-scrub-'))
})
beforeEach(async () => {
  world = await openWorld(directory)
  hasher = createHasher(world.store)
})
after(() => rm(directory, { recursive: true }))

const damage = async (digest: Digest, change: (bytes: Buffer) => Buffer) => {
  const file = world.store.file?.(digest) ?? ''
  await writeFile(file, change(await readFile(file)))
}
const run = (dryRun = false) => scrub({ ...world, hasher }, { dryRun })

describe('scrubbing', () => {
  it('reports no intact blobs', async () => {
    await world.image('image', ['a', 'b'])
    await world.layer('')
    const { checked, damaged } = await run()
    assert.deepEqual([checked, damaged], [6, []])
    await hasher.close()
  })

  it('reports damaged blobs, and removes them from store and catalog', async () => {
    const [flipped, truncated, intact] = [
      await world.layer('flipped'),
      await world.layer('truncated'),
      await world.layer('intact'),
    ]
    await damage(flipped, (bytes) => {
      bytes[3] = (bytes[3] ?? 0) ^ 1
      return bytes
    })
    await damage(truncated, (bytes) => bytes.subarray(1))
    const report = await run(true)
    assert.deepEqual(report.damaged.map(({ digest }) => digest).sort(), [flipped, truncated].sort())
    assert.equal((await world.stored()).length, 3)
    assert.deepEqual((await run()).damaged.length, 2)
    assert.deepEqual(await world.stored(), [intact])
    assert.equal(await world.catalog.layer(testKey('layer flipped')), undefined)
    assert.equal(await world.catalog.blobSize(truncated), undefined)
    assert.notEqual(await world.catalog.layer(testKey('layer intact')), undefined)
    assert.deepEqual((await run()).damaged, [])
    await hasher.close()
  })

  it('reports its progress, and can be aborted', async () => {
    for (const text of ['one', 'three', 'fifteen']) await world.layer(text)
    const seen: number[] = []
    await scrub({ ...world, hasher }, { dryRun: true, progress: (done, total) => seen.push(done / total) })
    assert.equal(seen.length, 3)
    assert.equal(seen.at(-1), 1)
    const signal = AbortSignal.abort(new Error('enough'))
    await assert.rejects(scrub({ ...world, hasher }, { dryRun: false, signal }), /enough/)
    await hasher.close()
    await assert.rejects(run(), (error) => hasCode(error, 'CANCELLED'))
  })

  it('works with stores whose blobs are not files', async () => {
    const flipped = await world.layer('flipped')
    await world.layer('whole')
    await damage(flipped, (bytes) => bytes.reverse())
    const store: BlobStore = { ...world.store }
    delete store.file
    const streaming = createHasher(store)
    const { damaged } = await scrub({ ...world, store, hasher: streaming }, { dryRun: false })
    assert.deepEqual(
      damaged.map(({ digest }) => digest),
      [flipped],
    )
    assert.equal((await world.stored()).length, 1)
  })
})
