import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Catalog } from './catalog.ts'

/** Tests of every catalog for files of binary caches; a part of `conformance.ts`. */
export function describeCacheFiles(name: string, open: () => Promise<Catalog>): void {
  describe(`${name}, for binary caches`, () => {
    it('stores the latest response of each binary cache, and removes it by age', async () => {
      const catalog = await open()
      const file = (hash: string, text: string | undefined, askedAt: number) => ({
        address: `https://cache.example/${hash}.narinfo`,
        text,
        askedAt,
      })
      const all = [
        file('old', 'x', 10),
        file('gone', undefined, 20),
        file('late', 'y', 30),
        file('no', undefined, 40),
      ]
      await catalog.rememberCacheFiles([file('late', undefined, 5), file('other', 'z', 1)])
      await catalog.rememberCacheFiles(all)
      const addresses = [...all, file('none', 'x', 1)].map(({ address }) => address)
      const stored = async () =>
        (await catalog.cacheFiles(addresses)).toSorted((one, other) => one.askedAt - other.askedAt)
      assert.deepEqual(await stored(), all)
      const { rows } = catalog.upkeep
      assert.equal(await rows.forgetCacheFiles(20, 40, 1), 1)
      assert.equal(await rows.forgetCacheFiles(20, 40, 9), 2)
      assert.deepEqual(await stored(), all.slice(2))
      await catalog.close()
    })
  })
}
