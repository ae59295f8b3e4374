import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import Database from 'better-sqlite3'
import { hasCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import type { Catalog } from './catalog.ts'
import { ask, must, tell, withPolicies, type Doubts, type Policies } from './policy.ts'
import { openCatalog } from './sql.ts'
import { sqliteOf } from './sqlite-database.ts'
import { catalogPolicies, openTolerantCatalog } from './tolerant.ts'

type Numbers = {
  get(key: string): Promise<number>
  put(key: string, value: number): Promise<void>
  readonly upkeep: { count(): Promise<number> }
}
const policies: Policies<Numbers> = { get: ask(() => 0), put: tell(), upkeep: { count: must } }

const noDoubts = (): Doubts => ({ blobs: new Set(), paths: new Set() })

/** The leaves of a table or an object of methods: `upkeep.rows.shrink`. */
const namesIn = (table: object, before = ''): string[] =>
  Object.entries(table).flatMap(([name, entry]: [string, object]) =>
    typeof entry === 'function' || 'policy' in entry ? [before + name] : namesIn(entry, `${before}${name}.`),
  )

describe('policies of failures', () => {
  it('must be given for each method, otherwise it does not compile', () => {
    // @ts-expect-error `put` is missing
    const incomplete: Policies<Numbers> = { get: ask(() => 0), upkeep: { count: must } }
    // @ts-expect-error `count` is missing
    const incompleteInside: Policies<Numbers> = { get: ask(() => 0), put: tell(), upkeep: {} }
    // @ts-expect-error a method with a result cannot use `tell`
    const wrongPolicy: Policies<Numbers> = { ...policies, get: tell() }
    // @ts-expect-error a miss is what the method returns
    const wrongMiss: Policies<Numbers> = { ...policies, get: ask(() => 'none') }
    assert.ok(incomplete && incompleteInside && wrongPolicy && wrongMiss)
  })

  it('pass results on', async () => {
    const stored = new Map<string, number>()
    const numbers: Numbers = {
      get: (key) => Promise.resolve(stored.get(key) ?? -1),
      put: (key, value) => Promise.resolve(void stored.set(key, value)),
      upkeep: { count: () => Promise.resolve(stored.size) },
    }
    const tolerant = withPolicies(policies, (work) => work(numbers), noDoubts())
    await tolerant.put('a', 7)
    assert.deepEqual([await tolerant.get('a'), await tolerant.upkeep.count()], [7, 1])
  })

  it('are those of the catalog, method by method, when its database fails', async () => {
    const sql = await openCatalog(sqliteOf(new Database(':memory:')))
    const database = {
      open: () => Promise.resolve(sql),
      isDamaged: () => false,
      isPassing: () => true,
      setAside: () => Promise.reject(new Error('is not damaged')),
    }
    const warnings: string[] = []
    const options = { warn: (line: string) => void warnings.push(line), pause: 60_000 }
    const catalog = await openTolerantCatalog(database, options)
    const names = namesIn(catalogPolicies)
    assert.deepEqual([...names, 'close'].sort(), namesIn(catalog).sort())
    await catalog.rememberBlob(digestOf('a'), 1)
    await sql.close() // everything fails from now on
    for (const name of names) {
      type Method = (...args: unknown[]) => Promise<unknown>
      const found = (of: object) =>
        name.split('.').reduce<unknown>((inside, part) => (inside as Record<string, unknown>)[part], of)
      const { policy } = found(catalogPolicies) as { policy: string }
      const isList = ['rememberPathFacts', 'rememberListings', 'rememberCacheFiles'].includes(name)
      const args = isList ? [[]] : [digestOf('a'), 1]
      const answer = (found(catalog) as Method)(...args)
      if (policy === 'must')
        await assert.rejects(answer, (error) => hasCode(error, 'STORE_UNAVAILABLE'), name)
      else if (policy === 'tell') assert.equal(await answer, undefined, name)
      else {
        const { miss } = found(catalogPolicies) as { miss: () => unknown }
        assert.deepEqual(await answer, miss(), name)
      }
    }
    assert.equal(warnings.length, 1)
  })

  it('ignore rows that could not be replaced until they are', async () => {
    let fails = false
    const sql = await openCatalog(sqliteOf(new Database(':memory:')))
    const doubts = noDoubts()
    const run = <T>(work: (catalog: Omit<Catalog, 'close'>) => Promise<T>) =>
      fails ? Promise.reject(new Error('the disk is full')) : work(sql)
    const catalog = withPolicies(catalogPolicies, run, doubts)
    const digest = digestOf('a')
    await catalog.rememberBlob(digest, 1)
    fails = true
    await catalog.forgetBlob(digest)
    fails = false
    assert.equal(await catalog.blobSize(digest), undefined)
    await catalog.forgetBlob(digest)
    await catalog.rememberBlob(digest, 2)
    assert.equal(await catalog.blobSize(digest), 2)
    await sql.close()
  })
})
