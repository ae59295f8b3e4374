import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import type { Layer } from '../image/oci.ts'
import { parseStorePath, type PathFacts } from '../image/store-path.ts'
import { describeCacheFiles } from './cache-files-conformance.ts'
import type { Catalog, ImageKey, MemberKey } from './catalog.ts'
import { parseAny, testKey } from './keys-testing.ts'
import { describeLists } from './lists-conformance.ts'
import { describeMarks } from './marks-conformance.ts'
import { describeQuotaUses } from './quota-uses-conformance.ts'
import { describeSearchIndexes } from './search-conformance.ts'

/** Tests of every catalog; new databases run them. `open` returns an empty one each time. */
export function describeCatalog(name: string, open: () => Promise<Catalog>): void {
  const path = (index: number) => parseStorePath(`/nix/store/${String(index).padStart(32, '0')}-p${index}`)
  const facts = (index: number): PathFacts => ({
    storePath: path(index),
    narHash: `sha256-${index}`,
    narSize: 2 ** 40 + index,
    references: index > 0 ? [path(index - 1)] : [],
  })
  const layer = (text: string): Layer => ({
    digest: digestOf(text),
    diffId: digestOf(`${text} uncompressed`),
    size: 2 ** 33,
    compression: 'gzip',
  })

  const parts = [describeCacheFiles, describeLists, describeMarks, describeQuotaUses, describeSearchIndexes]
  for (const part of parts) part(name, open)
  describe(`${name} as a catalog`, () => {
    it('is empty at first', async () => {
      const catalog = await open()
      assert.deepEqual(await catalog.resolutions([testKey('a')], parseAny), new Map())
      assert.deepEqual(await catalog.pathFacts([path(1)]), new Map())
      assert.equal(await catalog.layer(testKey('a')), undefined)
      assert.equal(await catalog.image(testKey('a'), parseAny), undefined)
      assert.equal(await catalog.blobSize(digestOf('a')), undefined)
      await catalog.close()
    })

    it('stores the latest resolutions and images', async () => {
      const catalog = await open()
      await catalog.rememberResolutions(
        new Map([
          [testKey('a'), [1]],
          [testKey('b'), [2]],
        ]),
      )
      await catalog.rememberResolutions(new Map([[testKey('b'), [3]]]))
      assert.deepEqual(
        await catalog.resolutions([testKey('a'), testKey('b'), testKey('c')], parseAny),
        new Map([
          ['a', [1]],
          ['b', [3]],
        ]),
      )
      await catalog.rememberImage(testKey('a'), { x: 1 })
      await catalog.rememberImage(testKey('a'), { y: 1 })
      assert.deepEqual(await catalog.image(testKey('a'), parseAny), { y: 1 })
      const parseOne = (json: string) => {
        if (json === '[1]') return 1
        throw new Error('is not one')
      }
      assert.deepEqual(await catalog.resolutions([testKey('a'), testKey('b')], parseOne), new Map([['a', 1]]))
      assert.equal(await catalog.image(testKey('a'), parseOne), undefined)
      await catalog.close()
    })

    it('stores API keys, also after they are revoked', async () => {
      const catalog = await open()
      const { apiKeys } = catalog
      const key = { id: 'k1', name: 'ci', hash: 'h', groups: ['dev'], createdAt: 7 }
      await apiKeys.add(key)
      await apiKeys.add({ ...key, id: 'k2', createdAt: 6, expiresAt: 8 })
      assert.deepEqual(await apiKeys.find('k1'), key)
      assert.equal(await apiKeys.find('k3'), undefined)
      await apiKeys.revoke('k1', 9)
      await apiKeys.revoke('k1', 10)
      await apiKeys.revoke('k3', 9)
      assert.deepEqual(await apiKeys.list(), [
        { ...key, id: 'k2', createdAt: 6, expiresAt: 8 },
        { ...key, revokedAt: 9 },
      ])
      await catalog.close()
    })

    it('stores the facts of more paths than fit into one statement', async () => {
      const catalog = await open()
      const all = Array.from({ length: 12_000 }, (_, index) => facts(index))
      await catalog.rememberPathFacts(all)
      await catalog.rememberPathFacts([{ ...facts(7), narHash: 'sha256-rebuilt' }])
      const found = await catalog.pathFacts([...all.map((one) => one.storePath), path(99_999)])
      assert.equal(found.size, 12_000)
      assert.deepEqual(found.get(path(8)), facts(8))
      assert.equal(found.get(path(7))?.narHash, 'sha256-rebuilt')
      await catalog.close()
    })

    it('stores listings of paths for their contents', async () => {
      const catalog = await open()
      await catalog.rememberPathFacts([facts(2)])
      await catalog.rememberListings([1, 2].map((index) => ({ facts: facts(index), listing: `in${index}` })))
      const ids = [1, 2, 3].map(facts)
      const told = new Map([1, 2].map((index) => [path(index), `in${index}`]))
      assert.deepEqual(await catalog.listings(ids), told)
      assert.deepEqual(await catalog.pathFacts([path(1)]), new Map([[path(1), facts(1)]]))
      // The facts of other contents must not leave the old listing.
      const rebuilt = { ...facts(1), narHash: 'sha256-rebuilt' }
      await catalog.rememberPathFacts([rebuilt])
      assert.deepEqual(await catalog.listings([rebuilt, facts(2)]), new Map([[path(2), 'in2']]))
      await catalog.rememberListings([{ facts: rebuilt, listing: 'new' }])
      assert.deepEqual(await catalog.listings([rebuilt]), new Map([[path(1), 'new']]))
      await catalog.close()
    })

    it('removes the layers of a missing blob', async () => {
      const catalog = await open()
      const member = { key: testKey<MemberKey>('m'), digest: digestOf('one'), offset: 2 ** 33, length: 10 }
      await catalog.rememberLayer(testKey('one'), layer('one'), [member])
      const two = { ...layer('two'), facts: '{"env":[]}' }
      await catalog.rememberLayer(testKey('two'), two, [
        { ...member, key: testKey('n'), digest: digestOf('two') },
      ])
      const known = await catalog.layers([testKey('one'), testKey('none')])
      assert.deepEqual(known, new Map([['one', layer('one')]]))
      assert.deepEqual(await catalog.members([testKey('m'), testKey('none')]), new Map([['m', member]]))
      await catalog.rememberBlob(digestOf('one'), 2 ** 33)
      assert.deepEqual(await catalog.layer(testKey('one')), layer('one'))
      assert.equal(await catalog.blobSize(digestOf('one')), 2 ** 33)
      for (const text of ['one', 'unknown']) await catalog.rememberBlobMark(digestOf(text), '["a mark"]')
      assert.equal(await catalog.blobMark(digestOf('one')), '["a mark"]')
      for (const mark of ['["b"]', undefined]) await catalog.rememberBlob(digestOf('one'), 2 ** 33, mark)
      assert.equal(await catalog.blobMark(digestOf('one')), '["b"]')
      assert.equal(await catalog.blobMark(digestOf('unknown')), undefined)
      await catalog.forgetBlob(digestOf('one'))
      assert.equal(await catalog.layer(testKey('one')), undefined)
      assert.equal(await catalog.blobSize(digestOf('one')), undefined)
      assert.equal(await catalog.blobMark(digestOf('one')), undefined)
      assert.deepEqual(await catalog.layer(testKey('two')), two)
      assert.deepEqual([...(await catalog.members([testKey('m'), testKey('n')])).keys()], ['n'])
      await catalog.close()
    })

    it('does not know a withdrawn blob, but lists it until it is removed or stored again', async () => {
      const catalog = await open()
      const [one, two] = [digestOf('one'), digestOf('two')]
      for (const text of ['one', 'two']) {
        await catalog.rememberLayer(testKey(text), layer(text), [])
        await catalog.rememberBlob(digestOf(text), 5)
      }
      assert.equal(await catalog.blobSize(one), 5)
      await catalog.upkeep.withdrawBlobs([one, two])
      assert.equal(await catalog.blobSize(one), undefined)
      assert.equal((await catalog.layers([testKey('one'), testKey('two')])).size, 0)
      const told = async () => (await catalog.upkeep.blobs({ limit: 9 })).map(({ digest }) => digest)
      assert.deepEqual(await told(), [one, two].sort())
      await catalog.rememberBlob(one, 5)
      assert.equal(await catalog.blobSize(one), 5)
      await catalog.upkeep.forgetBlobs([two])
      assert.deepEqual(await told(), [one])
      await catalog.close()
    })

    it('lists pulled tags, repositories, and the most pulled images', async () => {
      const catalog = await open()
      const pull = (repository: string, tag: string, count: number, architecture = 'amd64') =>
        ({
          repository,
          tag,
          architecture,
          image: testKey<ImageKey>(`${repository} ${tag}`),
          at: 100,
          count,
        }) as const
      await catalog.rememberPulls([
        pull('shell/git', 'latest', 2),
        pull('shell/git', 'latest', 2, 'arm64'),
        pull('shell/git', 'v10', 1),
        pull('shell/git', 'v9', 1),
        pull('shell/git', 'V1', 1),
        pull('shell', 'latest', 3),
      ])
      await catalog.rememberPulls([pull('shell', 'latest', 4)])
      // In byte order: upper case first, and v10 before v9.
      assert.deepEqual(await catalog.tags('shell/git', { limit: 9 }), ['V1', 'latest', 'v10', 'v9'])
      assert.deepEqual(await catalog.tags('shell/git', { after: 'V1', limit: 2 }), ['latest', 'v10'])
      assert.deepEqual(await catalog.tags('none', { limit: 9 }), [])
      assert.deepEqual(await catalog.repositories({ limit: 9 }), ['shell', 'shell/git'])
      assert.deepEqual(await catalog.repositories({ after: 'shell', limit: 9 }), ['shell/git'])
      assert.deepEqual(await catalog.mostPulled(2), [
        { repository: 'shell', tag: 'latest', pulls: 7 },
        { repository: 'shell/git', tag: 'latest', pulls: 4 },
      ])
      await catalog.close()
    })

    it('lists when images were made and used, and removes those that were not used since', async () => {
      const catalog = await open()
      assert.ok((await catalog.upkeep.born()) > 1.7e9)
      for (const key of ['a', 'b', 'c', 'd']) await catalog.rememberImage(testKey(key), {}, 50)
      await catalog.rememberImage(testKey('d'), {}, 300)
      await catalog.rememberBlob(digestOf('m'), 1)
      const pulled = { repository: 'r', tag: 't', count: 1 }
      await catalog.rememberPulls([
        { ...pulled, architecture: 'amd64', image: testKey('b'), at: 100 },
        { ...pulled, architecture: 'arm64', image: testKey('c'), at: 200 },
        { ...pulled, architecture: 'arm64', image: testKey('c'), at: 150 },
      ])
      await catalog.rememberUses(new Map([[digestOf('m'), 70]]))
      await catalog.rememberUses(new Map([[digestOf('m'), 60]]))
      assert.deepEqual(await catalog.upkeep.blobs({ limit: 9 }), [
        { digest: digestOf('m'), usedAt: 70, withdrawn: false },
      ])
      const record = (key: string, madeAt: number, pulledAt: number | undefined) => ({
        key,
        image: {},
        madeAt,
        pulledAt,
      })
      assert.deepEqual(await catalog.upkeep.images({ limit: 2 }, parseAny), [
        record('a', 50, undefined),
        record('b', 50, 100),
      ])
      assert.deepEqual(await catalog.upkeep.images({ after: testKey('b'), limit: 2 }, parseAny), [
        record('c', 50, 200),
        record('d', 300, undefined),
      ])
      assert.deepEqual((await catalog.upkeep.imagesSince(200, parseAny)).map(({ key }) => key).sort(), [
        'c',
        'd',
      ])
      assert.deepEqual(
        await catalog.upkeep.names([testKey('a'), testKey('c')]),
        new Map([['c', [{ repository: 'r', tag: 't', architecture: 'arm64' }]]]),
      )
      assert.deepEqual(await catalog.image(testKey('a'), parseAny), {})
      await catalog.upkeep.forgetImages([testKey('a'), testKey('b'), testKey('c'), testKey('d')], 200)
      assert.equal(await catalog.image(testKey('a'), parseAny), undefined)
      assert.deepEqual(
        (await catalog.upkeep.images({ limit: 9 }, parseAny)).map(({ key }) => key),
        ['c', 'd'],
      )
      await catalog.upkeep.forgetImages([testKey('c')], 201)
      assert.deepEqual(await catalog.tags('r', { limit: 9 }), [])
      await catalog.close()
    })
  })
}
