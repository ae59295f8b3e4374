import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import type { Collected } from './gc.ts'
import { createUpkeep } from './schedule.ts'
import { createUses } from './uses.ts'

const nothing: Collected = {
  images: [],
  imagesKept: 0,
  blobs: { count: 0, size: 0 },
  blobsKept: { count: 0, size: 0 },
  leftovers: 0,
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
  it('is what was noted; manifests are told once', () => {
    const uses = createUses()
    uses.note(digestOf('a'), digestOf('b'))
    uses.noteManifest(digestOf('m'))
    assert.deepEqual(uses.inUse(), new Set([digestOf('a'), digestOf('b'), digestOf('m')]))
    assert.deepEqual([...uses.takeManifests().keys()], [digestOf('m')])
    assert.equal(uses.takeManifests().size, 0)
    assert.ok(uses.inUse().has(digestOf('m')))
  })
})
