import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hasCode } from '../../errors.ts'
import { file } from '../../layers/testing.ts'
import { createLimiter } from '../../queue/limiter.ts'
import { createAhead } from './ahead.ts'
import { createBudget } from './budget.ts'
import type { CacheRoom } from './fetch.ts'
import { inCache, pathOf } from './testing.ts'
import { CacheTrouble } from './trouble.ts'

let spoolDirectory: string
before(() => {
  spoolDirectory = mkdtempSync(join(tmpdir(), 'nixery-ahead-'))
})
after(() => rmSync(spoolDirectory, { recursive: true }))

const roomWith = (budgetAhead: number): CacheRoom => ({
  spoolDirectory,
  budget: createBudget(1e6),
  budgetAhead: createBudget(budgetAhead),
  downloads: createLimiter(4),
  inThreads: new Set(),
  ahead: new Set(),
})
const aheadIn = (room: CacheRoom, came: string[] = []) =>
  createAhead(room, { onBytes() {}, onDownloaded: ({ path }) => void came.push(path) }, {})
const files = () => readdirSync(spoolDirectory)

describe('downloads that begin before they are needed', () => {
  it('are given once, and what nobody takes is removed', async () => {
    const room = roomWith(1e6)
    const came: string[] = []
    const ahead = aheadIn(room, came)
    const [[a, inA], [b, inB]] = [inCache(pathOf('a'), file('a')), inCache(pathOf('b'), file('b'))]
    for (const found of [inA, inB, inB]) ahead.begin(found)
    const held = await (ahead.take(a, {}) ?? assert.fail())
    assert.equal(held.source.storePath, a)
    assert.equal(ahead.take(a, {}), undefined)
    assert.equal(ahead.take(pathOf('c'), {}), undefined)
    await ahead.close()
    assert.equal(files().length, 1)
    await held.release()
    assert.deepEqual(files(), [])
    assert.ok(came.filter((path) => path === b).length <= 1)
  })

  it('take no more room than there is, and no path that another image is downloading', async () => {
    const [[a, inA], [b, inB]] = [inCache(pathOf('a'), file('a')), inCache(pathOf('b'), file('b'))]
    const room = roomWith(inA.narinfo.narSize)
    const [one, other] = [aheadIn(room), aheadIn(room)]
    one.begin(inA)
    one.begin(inB)
    assert.equal(one.take(b, {}), undefined)
    const held = one.take(a, {}) ?? assert.fail()
    const third = aheadIn({ ...room, budgetAhead: createBudget(1e6) })
    third.begin(inA)
    assert.equal(third.take(a, {}), undefined)
    other.begin(inB)
    assert.equal(other.take(b, {}), undefined)
    await (await held).release()
    // Both have been given back.
    other.begin(inB)
    await (await (other.take(b, {}) ?? assert.fail())).release()
    assert.deepEqual([files(), [...room.ahead]], [[], []])
  })

  it('tell their failure to who takes them, and end with its signal or when nobody does', async () => {
    const hanging = inCache(pathOf('h'), file('h'), (_, { signal }) => {
      signal?.throwIfAborted()
      const { promise, reject } = Promise.withResolvers<Buffer>()
      signal?.addEventListener('abort', () => reject(new Error('ended')))
      return promise
    })
    const broken = inCache(pathOf('x'), file('x'), () => {
      throw new CacheTrouble('it is gone')
    })
    const room = roomWith(1e6)
    const ahead = aheadIn(room)
    ahead.begin(broken[1])
    ahead.begin(hanging[1])
    await assert.rejects(ahead.take(broken[0], {}) ?? assert.fail(), /here does not give .*: it is gone/)
    const ending = new AbortController()
    const taken = ahead.take(hanging[0], { signal: ending.signal }) ?? assert.fail()
    ending.abort()
    await assert.rejects(taken, (error) => hasCode(error, 'CANCELLED'))
    ahead.begin(hanging[1])
    await ahead.close()
    ahead.begin(hanging[1])
    assert.equal(ahead.take(hanging[0], {}), undefined)
    assert.deepEqual([files(), [...room.ahead]], [[], []])
  })
})
