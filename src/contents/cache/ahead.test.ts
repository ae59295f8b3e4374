import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { hasCode } from '../../errors.ts'
import { file } from '../../layers/testing.ts'
import { createAhead } from './ahead.ts'
import { createBudget } from './budget.ts'
import { createDownloads, downloadsAtOnce, type CacheRoom } from './fetch.ts'
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
  memory: createBudget(0),
  downloads: createDownloads(),
  inThreads: new Set(),
  ahead: new Set(),
})
const aheadIn = (room: CacheRoom, came: string[] = []) =>
  createAhead(room, { onBytes() {}, onDownloaded: ({ path }) => void came.push(path) }, {})
const files = () => readdirSync(spoolDirectory)

describe('downloads in advance', () => {
  it('are returned once, and unused ones are removed', async () => {
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

  it('stay in memory if they are small, and there is room', async () => {
    const [[a, inA], [b, inB]] = [inCache(pathOf('a'), file('a')), inCache(pathOf('b'), file('b'))]
    const { narSize } = inA.narinfo
    const room = { ...roomWith(1e6), memory: createBudget(narSize) }
    const ahead = aheadIn(room)
    ahead.begin(inA)
    ahead.begin(inB)
    const inMemory = await (ahead.take(a, {}) ?? assert.fail())
    const inFile = await (ahead.take(b, {}) ?? assert.fail())
    assert.ok('bytes' in inMemory.source.content)
    assert.ok('file' in inFile.source.content)
    assert.equal(room.memory.takeNow(1), undefined)
    await inMemory.release()
    await inFile.release()
    assert.ok(room.memory.takeNow(narSize))
    const [c, large] = inCache(pathOf('c'), file('c'.repeat(300_000)))
    const wide = aheadIn({ ...roomWith(1e6), memory: createBudget(1e6) })
    wide.begin(large)
    const held = await (wide.take(c, {}) ?? assert.fail())
    assert.ok('file' in held.source.content)
    await held.release()
    assert.deepEqual(files(), [])
  })

  it('respect the space limit, and skip paths that another image is downloading', async () => {
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
    // Both have been released.
    other.begin(inB)
    await (await (other.take(b, {}) ?? assert.fail())).release()
    assert.deepEqual([files(), [...room.ahead]], [[], []])
  })

  it('report failures to their taker, and end with its signal or without a taker', async () => {
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
    await assert.rejects(ahead.take(broken[0], {}) ?? assert.fail(), /here did not deliver .*: it is gone/)
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

  it('start with the largest, a few of each size at a time, until they are stopped', async () => {
    const order: string[] = []
    const answers = new Map<string, () => void>()
    const room = roomWith(1e8)
    const ahead = createAhead(room, { onBytes() {}, onDownloaded() {} }, {})
    const begin = (name: string, size: number) => {
      const [, found] = inCache(pathOf(name), file(name.padEnd(size)), (nar) => {
        order.push(name)
        const { promise, resolve } = Promise.withResolvers<Buffer>()
        answers.set(name, () => resolve(nar))
        return promise
      })
      ahead.begin(found)
    }
    const until = async (count: number) => {
      while (order.length < count) await setImmediate()
      for (let turn = 0; turn < 20; turn++) await setImmediate()
      assert.equal(order.length, count)
    }
    const [small, large] = [downloadsAtOnce.small, downloadsAtOnce.large]
    const all = small + large
    for (let index = 0; index < large + 1; index++) begin(`large ${index}`, 2e6)
    for (let index = 0; index < small; index++) begin(`small ${index}`, 1)
    for (const [name, size] of Object.entries({ first: 10, third: 100, second: 3000 })) begin(name, size)
    await until(all)
    for (const [index, [ended, next]] of [
      ['small 0', 'second'],
      ['small 1', 'third'],
      ['large 0', `large ${large}`],
    ].entries()) {
      answers.get(ended ?? '')?.()
      await until(all + index + 1)
      assert.equal(order.at(-1), next)
    }
    ahead.stop()
    for (const answer of answers.values()) answer()
    assert.equal(ahead.take(pathOf('first'), {}), undefined)
    await ahead.close()
    assert.deepEqual([order.length, files(), [...room.ahead]], [all + 3, [], []])
  })
})
