import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { hasCode } from '../errors.ts'
import { openFakeBuilder } from './builder-testing.ts'
import { createOneRevision } from './one-revision.ts'

/** Runs everything that does not depend on external events. */
const settle = async () => {
  for (let turns = 0; turns < 30; turns += 1) await turn()
}
const failsWith = (code: Parameters<typeof hasCode>[1], answer: Promise<unknown>) =>
  assert.rejects(answer, (error) => hasCode(error, code))

describe('builds waiting for Nix', () => {
  it('are cancelled when their client disconnects, unless Nix has started to realise', async () => {
    const { builder, ask, started, ended, ends } = openFakeBuilder()
    const all = []
    for (const name of ['one', 'two', 'three']) {
      all.push(ask(name))
      await settle()
    }
    assert.deepEqual([started, builder.running, builder.queued], [['one'], 3, 2])
    for (const { leave } of all) leave()
    await settle()
    assert.deepEqual(ended, ['two CANCELLED', 'three CANCELLED'])
    assert.deepEqual([builder.running, builder.queued], [1, 0])
    const next = ask('four')
    await settle()
    ends.get('one')?.()
    await settle()
    assert.deepEqual(started, ['one', 'four'])
    ends.get('four')?.()
    await failsWith('BUILD_FAILED', next.answer)
  })

  it('are limited in number, but requests can always join them', async () => {
    const { builder, ask, evaluated } = openFakeBuilder({ jobs: 2, maxQueue: 3 })
    const all = []
    for (const name of ['a', 'b', 'c', 'd', 'e']) {
      all.push(ask(name))
      await settle()
    }
    assert.deepEqual([builder.queued, evaluated.length], [3, 5])
    await failsWith('OVERLOADED', ask('f').answer)
    assert.equal(evaluated.length, 5, 'refused requests are not evaluated')
    const joined = ask('e')
    await settle()
    all[4]?.leave()
    await settle()
    assert.equal(builder.queued, 3)
    joined.leave()
    await settle()
    assert.equal(builder.queued, 2)
    const later = ask('f')
    await settle()
    assert.deepEqual([builder.queued, evaluated.length], [3, 6])
    // Background builds come one at a time, and are not refused.
    ask('g', { background: true })
    await settle()
    assert.equal(builder.queued, 4)
    later.leave()
  })

  it('start in the order of urgency: connected clients, expected clients, background', async () => {
    const { ask, started, ends } = openFakeBuilder()
    ask('busy')
    await settle()
    ask('background', { background: true })
    ask('raised', { background: true })
    await settle()
    const told = ask('told', { limit: 1 })
    await failsWith('STILL_BUILDING', told.answer)
    const again = ask('told-and-back', { limit: 1 })
    await failsWith('STILL_BUILDING', again.answer)
    ask('waiting')
    ask('raised')
    ask('told-and-back')
    await settle()
    const order = ['busy']
    for (const name of ['raised', 'told-and-back', 'waiting', 'told', 'background']) {
      ends.get(order.at(-1) ?? '')?.()
      await settle()
      order.push(name)
      assert.deepEqual(started, order)
    }
  })

  it('wait for a client that got a retry response, and are cancelled if it does not return', async ({
    mock,
  }) => {
    mock.timers.enable({ apis: ['setTimeout'] })
    const { builder, ask, ended } = openFakeBuilder({ retryLease: 600 })
    const pass = async (ms: number) => {
      mock.timers.tick(ms)
      await settle()
    }
    ask('busy')
    await settle()
    const told = ask('told', { limit: 1 })
    await settle()
    await pass(1)
    await failsWith('STILL_BUILDING', told.answer)
    told.leave()
    await pass(599_000)
    assert.deepEqual([ended, builder.queued], [[], 1])
    const back = ask('told')
    await settle()
    back.leave()
    await pass(599_000)
    assert.deepEqual([ended, builder.queued], [[], 1], 'the client came back, and is expected again')
    const waiting = ask('told')
    await settle()
    await pass(1000_000)
    assert.deepEqual(ended, [], 'a client waits')
    waiting.leave()
    await settle()
    assert.deepEqual([ended, builder.queued], [['told CANCELLED'], 0])
    // The failure is not remembered: the next request starts a new build.
    ask('told')
    await settle()
    assert.equal(builder.queued, 1)
  })

  it('fail for waiting clients when the registry stops', async () => {
    const { builder, ask } = openFakeBuilder()
    const all = ['one', 'two'].map((name) => ask(name).answer)
    await settle()
    builder.drain()
    for (const answer of all) await failsWith('CANCELLED', answer)
    await failsWith('CANCELLED', ask('three').answer)
  })
})

describe('images of an index', () => {
  it('are built from one revision, even if the package set changes', async () => {
    const { ask, seen } = openFakeBuilder({ jobs: 2, revisions: ['1', '2', '3', '4'] })
    const together = createOneRevision(2)
    for (const name of ['one', 'arm64/one']) ask(name, { together })
    await settle()
    assert.deepEqual(seen, ['2', '2'])
  })

  it('are served at the last known revision only if all are known', async () => {
    const some = createOneRevision(2)
    assert.deepEqual(await Promise.all([some.agree(true), some.agree(false)]), [false, false])
    const all = createOneRevision(2)
    assert.deepEqual(await Promise.all([all.agree(true), all.agree(true)]), [true, true])
  })
})
