import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import type { Collected } from './collected.ts'
import { createUpkeep } from './schedule.ts'
import { createUses } from './uses.ts'

const nothing: Collected = {
  images: [],
  imagesKept: 0,
  blobs: { count: 0, size: 0 },
  blobsKept: { count: 0, size: 0 },
  reasons: {
    images: { recent: 0, inUse: 0, notDue: 0 },
    blobs: { ofImages: 0, inUse: 0, recent: 0, others: 0 },
  },
  leftovers: 0,
  forgotten: { resolutions: 0, paths: 0 },
}

describe('cleaning up from time to time', () => {
  it('goes on after a failure, one at a time, until it is stopped', async () => {
    const enough = Promise.withResolvers<void>()
    const told: string[] = []
    let running = 0
    const upkeep = createUpkeep({
      interval: 0.001,
      async collect() {
        running += 1
        assert.equal(running, 1)
        await new Promise(setImmediate)
        running -= 1
        if (told.length === 0) throw new Error('failed')
        if (told.length === 3) enough.resolve()
        return nothing
      },
      done: () => told.push('done'),
      failed: (error) => told.push(String(error)),
    })
    upkeep.start()
    await enough.promise
    await upkeep.stop()
    assert.deepEqual(told.slice(0, 3), ['Error: failed', 'done', 'done'])
    const { length } = told
    await new Promise((resolve) => {
      setTimeout(resolve, 20)
    })
    assert.equal(told.length, length)
  })

  it('is ended while it is at work', async () => {
    const begun = Promise.withResolvers<void>()
    const upkeep = createUpkeep({
      interval: 0.001,
      collect: ({ signal }) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(new Error('ended')))
          begun.resolve()
        }),
      done: assert.fail,
      failed: () => assert.fail(),
    })
    upkeep.start()
    await begun.promise
    await upkeep.stop()
  })
})

describe('what this process uses', () => {
  it('is what was found or stored, and each given manifest; manifests are told once', async () => {
    const uses = createUses()
    await uses.take(digestOf('a'), () => Promise.resolve(7))
    await uses.take(digestOf('not there'), () => Promise.resolve(undefined))
    uses.noteManifest(digestOf('m'))
    const isUsed = ['a', 'm', 'not there'].map((text) => uses.isUsed(digestOf(text)))
    assert.deepEqual(isUsed, [true, true, false])
    assert.deepEqual([...uses.takeManifests().keys()], [digestOf('m')])
    assert.equal(uses.takeManifests().size, 0)
    assert.ok(uses.isUsed(digestOf('m')))
  })

  it('is not removed while somebody looks for it, and is looked for when it has been removed', async () => {
    const uses = createUses()
    const digest = digestOf('a')
    const told: string[] = []
    const looked = Promise.withResolvers<undefined>()
    const taken = uses.take(digest, () => looked.promise)
    assert.equal(await uses.remove(digest, assert.fail), false)
    looked.resolve(undefined)
    await taken
    const removed = Promise.withResolvers<undefined>()
    const removing = uses.remove(digest, async () => {
      await removed.promise
      told.push('removed')
    })
    const later = uses.take(digest, () => Promise.resolve(void told.push('looked for')))
    removed.resolve(undefined)
    assert.equal(await removing, true)
    await later
    assert.deepEqual(told, ['removed', 'looked for'])
  })
})
