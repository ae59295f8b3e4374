import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { parseStorePath, type PathFacts } from '../image/store-path.ts'
import type { Catalog, ImageKey, Pull } from './catalog.ts'
import { parseAny, testKey } from './keys-testing.ts'

const path = parseStorePath(`/nix/store/${'0'.repeat(32)}-p`)
const facts = (narHash: string): PathFacts => ({ storePath: path, narHash, narSize: 1, references: [] })
const pull = (repository: string, tag: string, image: string, at = 100): Pull => ({
  repository,
  tag,
  architecture: 'amd64',
  image: testKey<ImageKey>(image),
  at,
  count: 1,
})

/** Lists that databases treat differently: empty ones, with the same key twice, sorted; a part of `conformance.ts`. */
export function describeLists(name: string, open: () => Promise<Catalog>): void {
  describe(`${name}, for lists`, () => {
    it('accepts empty ones', async () => {
      const catalog = await open()
      const { upkeep } = catalog
      await catalog.rememberResolutions(new Map())
      await catalog.rememberPathFacts([])
      await catalog.rememberListings([])
      await catalog.rememberCacheFiles([])
      await catalog.rememberPulls([])
      await catalog.rememberUses(new Map())
      await catalog.rememberRowUses({ day: 1, resolutions: [], paths: [] })
      await upkeep.forgetImages([], 1)
      await upkeep.withdrawBlobs([])
      await upkeep.forgetBlobs([])
      await upkeep.rows.keepPaths([], 1)
      assert.equal((await catalog.resolutions([], parseAny)).size, 0)
      assert.equal((await catalog.pathFacts([])).size, 0)
      assert.equal((await catalog.listings([])).size, 0)
      assert.deepEqual(await catalog.cacheFiles([]), [])
      assert.equal((await catalog.layers([])).size, 0)
      assert.equal((await catalog.members([])).size, 0)
      assert.equal((await upkeep.names([])).size, 0)
      assert.equal(await upkeep.rows.forgetPaths([], 1), 0)
      assert.deepEqual(await upkeep.rows.references([]), [])
      await catalog.close()
    })

    it('uses the last of several with the same key', async () => {
      const catalog = await open()
      await catalog.rememberPathFacts([facts('first'), facts('last')])
      assert.deepEqual(await catalog.pathFacts([path]), new Map([[path, facts('last')]]))
      await catalog.rememberListings([
        { facts: facts('last'), listing: 'one' },
        { facts: facts('last'), listing: 'two' },
      ])
      assert.deepEqual(await catalog.listings([facts('last')]), new Map([[path, 'two']]))
      const file = (text: string) => ({ address: 'https://a/b.narinfo', text, askedAt: 1 })
      await catalog.rememberCacheFiles([file('x'), file('y')])
      assert.deepEqual(await catalog.cacheFiles(['https://a/b.narinfo']), [file('y')])
      await catalog.rememberPulls([
        pull('r', 't', 'a', 200),
        { ...pull('r', 't', 'b', 150), record: {} },
        { ...pull('r', 't', 'b', 150), record: {} },
      ])
      assert.deepEqual(await catalog.mostPulled(9), [{ repository: 'r', tag: 't', pulls: 3 }])
      assert.deepEqual(
        [...(await catalog.upkeep.names([testKey('a'), testKey('b')])).keys()],
        [testKey<ImageKey>('b')],
      )
      await catalog.close()
    })

    it('sorts and pages by bytes, regardless of the database’s collation', async () => {
      const catalog = await open()
      const inOrder = ['B', '_c', 'a', 'a-b', 'a.b', 'a/b', 'aB', 'ab', 'b', 'ä']
      const all = inOrder.toReversed().map((one) => ({ ...pull(one, 'latest', one), record: {} }))
      await catalog.rememberPulls(all)
      await catalog.rememberPulls(inOrder.toReversed().map((tag) => pull('tags', tag, 'B')))
      const paged = async (list: (after: string | undefined) => Promise<string[]>) => {
        const found: string[] = []
        for (;;) {
          const page = await list(found.at(-1))
          if (page.length === 0) return found
          found.push(...page)
        }
      }
      const page = (after: string | undefined) => ({ ...(after !== undefined && { after }), limit: 3 })
      const tags = await paged((after) => catalog.tags('tags', page(after)))
      assert.deepEqual(tags, inOrder)
      const repositories = await paged((after) => catalog.repositories(page(after)))
      assert.deepEqual(repositories, [...inOrder, 'tags'].sort())
      const images = await paged(async (after) => {
        const from = after === undefined ? {} : { after: testKey<ImageKey>(after) }
        return (await catalog.upkeep.images({ ...from, limit: 3 }, parseAny)).map(({ key }) => key)
      })
      assert.deepEqual(images, inOrder)
      for (const one of inOrder) await catalog.rememberResolutions(new Map([[testKey(one), {}]]), one)
      const revisions = await paged(async (after = '') => {
        const next = await catalog.upkeep.rows.nextRevision(after)
        return next ? [next.revision] : []
      })
      assert.deepEqual(revisions, inOrder)
      await catalog.close()
    })

    it('lists the images of a name, newest first', async () => {
      const catalog = await open()
      await catalog.rememberImage(testKey('a'), { name: 'a' }, 10)
      await catalog.rememberImage(testKey('b'), { name: 'b' }, 20)
      await catalog.rememberPulls([pull('r', 'latest', 'a', 100), pull('r', 'old', 'a', 90)])
      await catalog.rememberPulls([pull('r', 'latest', 'b', 110), pull('other', 'latest', 'a', 120)])
      await catalog.rememberPulls([pull('r', 'gone', 'not-there', 130)])
      assert.deepEqual(
        (await catalog.pulledImages('r', 9, parseAny)).map(({ tag, image, pulledAt, pulls }) => ({
          tag,
          image,
          pulledAt,
          pulls,
        })),
        [
          { tag: 'latest', image: { name: 'b' }, pulledAt: 110, pulls: 2 },
          { tag: 'old', image: { name: 'a' }, pulledAt: 90, pulls: 1 },
        ],
      )
      assert.deepEqual(await catalog.servedImages('r', 9, parseAny), [
        { image: { name: 'b' }, madeAt: 20 },
        { image: { name: 'a' }, madeAt: 10 },
      ])
      assert.equal((await catalog.servedImages('r', 1, parseAny)).length, 1)
      assert.deepEqual(await catalog.pulledImages('none', 9, parseAny), [])
      await catalog.close()
    })

    it('stores texts unchanged', async () => {
      const catalog = await open()
      const odd = { text: 'nul \0, quote \', backslash \\, 𝄞, \u2028, {"a":1}', digest: digestOf('a') }
      await catalog.rememberImage(testKey('a'), odd)
      assert.deepEqual(await catalog.image(testKey('a'), parseAny), odd)
      await catalog.close()
    })
  })
}
