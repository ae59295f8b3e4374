import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { createSharedCheck } from './shared-check.ts'

/** Checks that end when the test says so. */
function controlled() {
  const ends: PromiseWithResolvers<string>[] = []
  const looks = createSharedCheck(() => {
    const end = Promise.withResolvers<string>()
    ends.push(end)
    return end.promise
  })
  return { looks, ends }
}
async function until(condition: () => boolean) {
  while (!condition()) await turn()
}

describe('createSharedCheck', () => {
  it('shares the running check', async () => {
    const { looks, ends } = controlled()
    const both = [looks.join(), looks.join()]
    ends[0]?.resolve('a')
    assert.deepEqual(await Promise.all(both), ['a', 'a'])
    assert.equal(looks.last()?.value, 'a')
    assert.equal(ends.length, 1)
  })

  it('waits for a check that starts afterwards, shared by earlier callers', async () => {
    const { looks, ends } = controlled()
    const first = looks.join()
    const later = [looks.next(), looks.next()]
    await turn()
    assert.equal(ends.length, 1, 'never two at the same time')
    ends[0]?.resolve('a')
    assert.equal(await first, 'a')
    later.push(looks.next())
    await until(() => ends.length === 2)
    const last = looks.next()
    ends[1]?.resolve('b')
    assert.deepEqual(await Promise.all(later), ['b', 'b', 'b'])
    await until(() => ends.length === 3)
    ends[2]?.resolve('c')
    assert.equal(await last, 'c')
  })

  it('does not accept a check that began during the pause', async () => {
    const { looks, ends } = controlled()
    const first = looks.join()
    await turn(undefined)
    const end = performance.now() + 20
    await until(() => performance.now() > end) // so long did the first one take
    ends[0]?.resolve('a')
    await first
    const pending = looks.next() // pauses
    const between = looks.join()
    ends[1]?.resolve('b')
    await between
    await until(() => ends.length === 3)
    ends[2]?.resolve('c')
    assert.equal(await pending, 'c')
  })

  it('keeps the last successful check when one fails, and continues', async () => {
    const { looks, ends } = controlled()
    const first = looks.join()
    ends[0]?.resolve('a')
    await first
    const failing = looks.join()
    const afterwards = looks.next()
    ends[1]?.reject(new Error('no'))
    await assert.rejects(failing, /no/)
    assert.equal(looks.last()?.value, 'a')
    await until(() => ends.length === 3)
    ends[2]?.resolve('c')
    assert.equal(await afterwards, 'c')
    looks.forget()
    assert.equal(looks.last(), undefined)
  })

  it('refreshes once, after the callers have finished their current work', async () => {
    const { looks, ends } = controlled()
    const refresh = () => looks.refresh(() => void looks.join())
    refresh()
    refresh()
    await turn()
    assert.equal(ends.length, 0, 'it has not begun')
    await until(() => ends.length > 0)
    refresh()
    ends[0]?.resolve('a')
    await until(() => looks.last()?.value === 'a')
    assert.equal(ends.length, 1)
  })

  it('does not refresh what has been checked in the meantime', async () => {
    const { looks, ends } = controlled()
    let refreshed = 0
    looks.refresh(() => (refreshed += 1))
    const waiting = looks.join()
    ends[0]?.resolve('a')
    await waiting
    looks.refresh(() => (refreshed += 1))
    await until(() => refreshed > 0)
    assert.equal(refreshed, 1)
  })

  it('checks only on demand', async () => {
    const { looks, ends } = controlled()
    const first = looks.join()
    ends[0]?.resolve('a')
    await first
    for (let count = 0; count < 100; count++) await turn()
    assert.equal(ends.length, 1)
  })
})
