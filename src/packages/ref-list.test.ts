import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { hasCode, NixeryError } from '../errors.ts'
import { createRefList, type RefListOptions } from './ref-list.ts'

/** A repository whose refs are replaced by `set`, with a settable clock. */
function listOf(options: Partial<RefListOptions> = {}) {
  let refs: Record<string, string> | undefined = { 'refs/heads/main': 'one' }
  let [fetches, time] = [0, 0]
  const notes: string[] = []
  const list = createRefList({
    ttl: 3_600_000,
    note: (line) => notes.push(line),
    now: () => time,
    load() {
      fetches += 1
      if (!refs) return Promise.reject(new NixeryError('SOURCE_UNREACHABLE', 'no answer'))
      return Promise.resolve(new Map(Object.entries(refs)))
    },
    ...options,
  })
  return {
    list,
    notes,
    find: (name: string) => list.lookUp(({ named }) => named.get(name)?.commit),
    fetches: () => fetches,
    set: (found: Record<string, string> | undefined) => (refs = found),
    pass: (milliseconds: number) => (time += milliseconds),
  }
}

describe('the refs of a repository', () => {
  it('are requested once for any number of unknown names', async () => {
    const { find, fetches, pass, set } = listOf()
    for (let count = 0; count < 1000; count += 1) assert.equal(await find(`no-${count}`), undefined)
    assert.equal(fetches(), 1)
    set({ 'refs/heads/new': 'two' })
    pass(60_000)
    assert.deepEqual(await Promise.all([find('new'), find('new')]), ['two', 'two'])
    assert.equal(await find('main'), undefined)
    assert.equal(fetches(), 2)
  })

  it('are requested again when they have expired', async () => {
    const { find, fetches, pass, set } = listOf({ ttl: 5_000 })
    assert.equal(await find('main'), 'one')
    set({ 'refs/heads/main': 'two' })
    pass(4_999)
    assert.equal(await find('main'), 'one')
    pass(1)
    assert.equal(await find('main'), 'two')
    assert.equal(fetches(), 2)
  })

  it('stay in use while the repository cannot be reached, which is tried every half minute', async () => {
    const { find, fetches, pass, set, notes } = listOf()
    await find('main')
    set(undefined)
    pass(3_600_000)
    for (let count = 0; count < 10; count += 1) assert.equal(await find('main'), 'one')
    assert.equal(fetches(), 2)
    assert.match(notes.join(), /last good revision/)
    set({ 'refs/heads/main': 'two' })
    pass(30_000)
    assert.equal(await find('main'), 'two')
  })

  it('are those of the last run, if there are any, until the repository can be reached', async () => {
    const last = new Map([['refs/heads/main', 'old']])
    const before = listOf({ last: () => Promise.resolve(last) })
    before.set(undefined)
    assert.equal(await before.find('main'), 'old')
    const fresh = listOf({ last: () => Promise.resolve(undefined) })
    fresh.set(undefined)
    for (let count = 0; count < 3; count += 1) {
      await assert.rejects(fresh.find('main'), (error) => hasCode(error, 'SOURCE_UNREACHABLE'))
    }
    assert.equal(fresh.fetches(), 1) // and again after a pause
    fresh.set({ 'refs/heads/main': 'one' })
    fresh.pass(5_000)
    assert.equal(await fresh.find('main'), 'one')
  })

  it('keep the known facts about commits until a ref moves', async () => {
    const { list, pass, set } = listOf({ ttl: 1 })
    const first = await list.current()
    pass(1)
    assert.equal(await list.current(), first)
    set({ 'refs/heads/main': 'two' })
    pass(1)
    assert.notEqual((await list.current()).proofs, first.proofs)
  })
})
