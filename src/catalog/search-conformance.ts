import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import type { Catalog } from './catalog.ts'
import { parseAny } from './keys-testing.ts'
import type { SearchSet } from './search-indexes.ts'

/** Tests of every catalog for search indexes; a part of `conformance.ts`. */
export function describeSearchIndexes(name: string, open: () => Promise<Catalog>): void {
  describe(`${name}, for search indexes`, () => {
    const index = (revision: string, rules = 'r') => ({
      digest: digestOf(revision),
      size: 2 ** 33,
      rules,
      revision,
    })

    it('has the latest index of each wanted set, for one format', async () => {
      const catalog = await open()
      const { searchIndexes: all } = catalog
      assert.deepEqual(await all.sets(1, parseAny), new Map())
      await all.want(1, '')
      const wanted: SearchSet<unknown> = { rules: undefined, latest: undefined, status: undefined }
      assert.deepEqual(await all.sets(1, parseAny), new Map([['', wanted]]))
      await all.want(1, '', 'r')
      await all.want(1, '') // does not know the rules
      await all.want(1, 'other')
      await all.report(1, '', { done: 7 })
      await all.report(1, 'unwanted', { done: 7 })
      assert.deepEqual(
        await all.sets(1, parseAny),
        new Map([
          ['', { ...wanted, rules: 'r', status: { done: 7 } }],
          ['other', wanted],
        ]),
      )
      await all.add(1, '', index('one'))
      await all.add(1, '', index('two', 's'))
      const found = await all.sets(1, parseAny)
      assert.deepEqual(found.get(''), { rules: 'r', latest: index('two', 's'), status: undefined })
      // The same index again, for example after a revision was reverted.
      await all.add(1, '', index('one'))
      assert.deepEqual((await all.sets(1, parseAny)).get('')?.latest, index('one'))
      assert.deepEqual(await all.sets(2, parseAny), new Map())
      await all.forget([index('one').digest])
      assert.equal((await all.sets(1, parseAny)).get('')?.latest, undefined)
      assert.deepEqual(await all.digests(), [index('two').digest])
      await all.report(1, '', { failed: true })
      await all.report(1, '', undefined)
      assert.equal((await all.sets(1, parseAny)).get('')?.status, undefined)
      await catalog.close()
    })

    it('lists indexes that were replaced, or that no process uses any more', async () => {
      const catalog = await open()
      const { searchIndexes: all } = catalog
      await all.want(1, 'a')
      await all.want(2, 'a')
      await all.add(1, 'a', index('one'))
      await all.add(1, 'a', index('two'))
      await all.add(2, 'a', index('three'))
      await all.add(1, 'gone', index('four'))
      const digests = (...revisions: string[]) => revisions.map((each) => index(each).digest).sort()
      assert.deepEqual(await all.digests(), digests('one', 'two', 'three', 'four'))
      assert.deepEqual(await all.unneeded(3600, 3600), digests('four'))
      assert.deepEqual(await all.unneeded(0, 3600), digests('one', 'four'))
      assert.deepEqual(await all.unneeded(0, 0), digests('one', 'two', 'three', 'four'))
      await all.forget(digests('one', 'four'))
      assert.deepEqual(await all.digests(), digests('two', 'three'))
      await catalog.close()
    })
  })
}
