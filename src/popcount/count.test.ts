import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { storePathOf } from '../closure/testing.ts'
import { formatPopularity, parsePopularity } from '../closure/popularity.ts'
import { hasCode } from '../errors.ts'
import { storePathName, type StorePath } from '../image/store-path.ts'
import { countReferences, type Reading } from './count.ts'
import { parseStorePaths } from './store-paths.ts'

const names = ['glibc-2.40-36', 'zlib-1.3', '__proto__', 'constructor', '7']
const read = (graph: ReadonlyMap<StorePath, readonly StorePath[]>) => (path: StorePath) =>
  Promise.resolve<Reading>({ kind: 'fetched', references: graph.get(path) ?? [] })

describe('countReferences', () => {
  it('counts each reference once, for any order and concurrency', async () => {
    const references = fc.subarray(names).map((some) => some.map((name) => storePathOf(name)))
    await fc.assert(
      fc.asyncProperty(
        fc.array(references, { maxLength: 30 }),
        fc.integer({ min: 1, max: 8 }),
        async (lists, concurrency) => {
          const graph = new Map(lists.map((list, index) => [storePathOf(`p${index}`), list]))
          const { counts, tally } = await countReferences([...graph.keys()], read(graph), { concurrency })
          const expected = (name: string) =>
            lists.filter((list) => list.some((path) => storePathName(path) === name)).length
          for (const name of names) assert.equal(counts.get(name) ?? 0, expected(name))
          assert.equal(tally.fetched, lists.length)

          const written = parsePopularity(formatPopularity(counts))
          for (const name of names) {
            assert.equal(written.counts.get(name) ?? 1, Math.max(expected(name), 1))
          }
        },
      ),
    )
  })

  it('limits concurrent reads', async () => {
    let running = 0
    let most = 0
    const paths = Array.from({ length: 40 }, (_, index) => storePathOf(`p${index}`))
    const slow = async (): Promise<Reading> => {
      most = Math.max(most, (running += 1))
      await sleep(1)
      running -= 1
      return { kind: 'missing', reason: 'not in the cache (404)' }
    }
    const { tally, examples } = await countReferences(paths, slow, { concurrency: 7 })
    assert.deepEqual([most, tally.missing, examples.length], [7, 40, 10])
  })

  it('stops when the cache no longer responds', async () => {
    const paths = Array.from({ length: 5_000 }, (_, index) => storePathOf(`p${index}`))
    let requests = 0
    const gone = (): Promise<Reading> => {
      requests += 1
      return Promise.resolve({ kind: 'failed', reason: 'connection refused' })
    }
    await assert.rejects(
      countReferences(paths, gone, { concurrency: 4 }),
      (error) => hasCode(error, 'SOURCE_INVALID') && /in a row.*connection refused/.test(error.message),
    )
    assert.ok(requests < 200, `${requests}`)
  })

  it('fails with the reason of its signal, and with a bug of its reader', async () => {
    const paths = [storePathOf('a'), storePathOf('b')]
    const reason = new Error('enough')
    const options = { concurrency: 2, signal: AbortSignal.abort(reason) }
    await assert.rejects(countReferences(paths, read(new Map()), options), reason)
    const bug = new TypeError('a bug')
    await assert.rejects(
      countReferences(paths, () => Promise.reject(bug), { concurrency: 2 }),
      bug,
    )
  })
})

describe('formatPopularity', () => {
  it('writes sorted names without spaces, and no count of 1', () => {
    const counts = new Map([
      ['zlib-1.3', 2],
      ['9base-6', 3],
      ['alone-1', 1],
      ['10', 4],
      ['__proto__', 5],
    ])
    assert.equal(formatPopularity(counts), '{"10":4,"9base-6":3,"__proto__":5,"zlib-1.3":2}')
    assert.equal(formatPopularity(new Map()), '{}')
  })
})

describe('parseStorePaths', () => {
  it('reads each path once, and counts invalid lines', () => {
    const [a, b] = [storePathOf('a'), storePathOf('b')]
    const list = parseStorePaths(`${a}\r\n${b}\n\n${a}\n${a}/bin\nhttp://elsewhere\n`)
    assert.deepEqual(list, { paths: [a, b], invalid: 2 })
  })
})
