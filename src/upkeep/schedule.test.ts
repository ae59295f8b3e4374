import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import type { Collected } from './collected.ts'
import { createUpkeep } from './schedule.ts'
import { createUses } from './uses.ts'

const nothing: Collected = {
  images: [],
  imagesRemoved: 0,
  imagesKept: 0,
  blobs: { count: 0, size: 0 },
  blobsKept: { count: 0, size: 0 },
  reasons: {
    images: { recent: 0, inUse: 0, notDue: 0 },
    blobs: { ofImages: 0, inUse: 0, recent: 0, others: 0 },
  },
  marked: 0,
  leftovers: 0,
  forgotten: { resolutions: 0, paths: 0 },
}

describe('periodic garbage collection', () => {
  it('runs one at a time until it is stopped, also after a failure', async () => {
    const enough = Promise.withResolvers<void>()
    const calls: string[] = []
    let running = 0
    const upkeep = createUpkeep({
      interval: 0.001,
      async collect() {
        running += 1
        assert.equal(running, 1)
        await new Promise(setImmediate)
        running -= 1
        if (calls.length === 0) throw new Error('failed')
        if (calls.length === 3) enough.resolve()
        return nothing
      },
      done: () => calls.push('done'),
      failed: (error) => calls.push(String(error)),
    })
    upkeep.start()
    await enough.promise
    await upkeep.stop()
    assert.deepEqual(calls.slice(0, 3), ['Error: failed', 'done', 'done'])
    const { length } = calls
    await new Promise((resolve) => {
      setTimeout(resolve, 20)
    })
    assert.equal(calls.length, length)
  })

  it('is aborted when it is stopped', async () => {
    const started = Promise.withResolvers<void>()
    const upkeep = createUpkeep({
      interval: 0.001,
      collect: ({ signal }) =>
        new Promise((_, reject) => {
          signal?.addEventListener('abort', () => reject(new Error('aborted')))
          started.resolve()
        }),
      done: assert.fail,
      failed: () => assert.fail(),
    })
    upkeep.start()
    await started.promise
    await upkeep.stop()
  })
})

describe('the blobs in use', () => {
  it('are those that were found or stored, and served manifests, which are returned once', async () => {
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

  it('are not removed while they are looked up, and are looked up after a removal', async () => {
    const uses = createUses()
    const digest = digestOf('a')
    const events: string[] = []
    const lookup = Promise.withResolvers<undefined>()
    const taken = uses.take(digest, () => lookup.promise)
    assert.equal(await uses.remove(digest, assert.fail), false)
    lookup.resolve(undefined)
    await taken
    const removed = Promise.withResolvers<undefined>()
    const removing = uses.remove(digest, async () => {
      await removed.promise
      events.push('removed')
    })
    const later = uses.take(digest, () => Promise.resolve(void events.push('looked up')))
    removed.resolve(undefined)
    assert.equal(await removing, true)
    await later
    assert.deepEqual(events, ['removed', 'looked up'])
  })
})
