import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as breathe } from 'node:timers/promises'
import { createRevisionAges } from './revision-ages.ts'
import type { PackageSource, PinnedSet } from './source.ts'

const pinned = (revision: string, more: Partial<PinnedSet> = {}): PinnedSet => ({
  set: { folder: '/nowhere' },
  revision,
  unchanged: () => Promise.resolve(true),
  ...more,
})
const sourceOf = (current: () => PinnedSet): PackageSource => ({
  description: 'a set',
  pin: () => Promise.resolve(current()),
  usable: () => Promise.resolve(),
  tags: () => Promise.resolve(undefined),
})

describe('the ages of revisions', () => {
  it('count from the commit, or from when a revision without one was first seen', async () => {
    let time = 1_000_000
    let current = pinned('a')
    const all = createRevisionAges(() => time)
    const source = all.watch(
      'tools',
      sourceOf(() => current),
    )
    const look = async (tag = 'latest') => {
      await source.pin(tag)
      await breathe()
      return all.ages()[0]?.seconds
    }
    assert.deepEqual(all.ages(), [])
    assert.equal(await look(), 0)
    time += 60_000
    assert.equal(await look(), 60, 'it is the same revision')
    current = pinned('b')
    assert.equal(await look('another'), 60, 'another tag says nothing about latest')
    assert.equal(await look(), 0)
    current = pinned('c', { origin: { commit: 'c', time: () => Promise.resolve(1_000) } })
    assert.equal(await look(), 60)
    current = pinned('d', { origin: { commit: 'd', time: () => Promise.reject(new Error('no mirror')) } })
    assert.equal(await look(), 0)
    current = pinned('e', { commit: { id: 'e', created: '1970-01-01T00:01:00Z' } })
    assert.equal(await look(), 1_000)
    assert.deepEqual(
      all.ages().map(({ set }) => set),
      ['tools'],
    )
  })
})
