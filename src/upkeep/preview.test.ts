import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as breathe } from 'node:timers/promises'
import { NixeryError } from '../errors.ts'
import type { Collected } from './collected.ts'
import { createPreview } from './preview.ts'

const found = (images: number): Collected => ({
  images: [],
  imagesRemoved: images,
  imagesKept: 0,
  blobs: { count: 0, size: 0 },
  marked: 0,
  blobsKept: { count: 0, size: 0 },
  reasons: {
    images: { recent: 0, inUse: 0, notDue: 0 },
    blobs: { ofImages: 0, inUse: 0, recent: 0, others: 0 },
  },
  leftovers: 0,
  forgotten: { resolutions: 0, paths: 0 },
})

describe('the preview of a garbage collection', () => {
  it('runs once for all callers, and again only after a pause much longer than it took', async () => {
    let time = 0
    let runs = 0
    let finish = Promise.withResolvers<Collected>()
    const preview = createPreview(
      () => {
        runs += 1
        return finish.promise
      },
      () => time,
    )
    assert.deepEqual(preview(), { running: true, last: undefined, failure: undefined })
    preview()
    assert.equal(runs, 1)
    time = 10_000
    finish.resolve(found(70))
    await breathe()
    const { running, last } = preview()
    assert.deepEqual([running, last?.collected.imagesRemoved, last?.at], [false, 70, 10_000])
    time = 209_000
    assert.equal(preview().running, false)
    assert.equal(runs, 1)
    time = 210_000
    finish = Promise.withResolvers()
    assert.deepEqual([preview().running, preview().last?.collected.imagesRemoved, runs], [true, 70, 2])
    finish.reject(new NixeryError('STORE_UNAVAILABLE', 'gone'))
    await breathe()
    assert.deepEqual(
      [preview().failure, preview().last?.collected.imagesRemoved, preview().running],
      ['STORE_UNAVAILABLE', 70, false],
    )
  })
})
