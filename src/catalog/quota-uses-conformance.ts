import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Catalog } from './catalog.ts'

/** Tests of every catalog for the use of quotas; a part of `conformance.ts`. */
export function describeQuotaUses(name: string, open: () => Promise<Catalog>): void {
  describe(`${name}, for quotas`, () => {
    it('never exceeds the limit, also with concurrent calls', async () => {
      const catalog = await open()
      const take = (key: string) => catalog.quotaUses.take(key, 1, 5, 3600)
      const all = await Promise.all(Array.from({ length: 20 }, () => take('a')))
      const taken = all.filter((each) => each.taken)
      assert.deepEqual(new Set(taken.map(({ used }) => used)), new Set([1, 2, 3, 4, 5]))
      assert.equal(taken.length, 5)
      const refused = await take('a')
      assert.deepEqual([refused.taken, refused.used], [false, 5])
      assert.ok(refused.left > 3590 && refused.left <= 3600, String(refused.left))
      assert.equal((await take('b')).used, 1)
      await catalog.quotaUses.giveBack('a', 1)
      await catalog.quotaUses.giveBack('b', 7)
      await catalog.quotaUses.giveBack('c', 1)
      assert.equal((await take('a')).taken, true)
      assert.equal((await take('a')).taken, false)
      assert.equal((await take('b')).used, 1)
      await catalog.close()
    })

    it('adds without a limit, and starts again when a window has ended', async () => {
      const catalog = await open()
      const { quotaUses } = catalog
      const use = (key: string, amount: number, seconds = 3600) => ({ key, amount, seconds })
      await quotaUses.add([])
      await quotaUses.add([use('b', 2 ** 40), use('a', 3), use('over', 7, 0)])
      const used = await quotaUses.add([use('a', 4), use('b', 2 ** 40), use('over', 1, 0)])
      const amounts = ['a', 'b', 'over'].map((key) => used.get(key)?.used)
      assert.deepEqual(amounts, [7, 2 ** 41, 1])
      assert.equal((await quotaUses.take('over', 1, 1, 3600)).used, 1)
      await catalog.close()
    })

    it('forgets windows that have ended', async () => {
      const catalog = await open()
      const uses = ['a', 'b', 'c'].map((key) => ({ key, amount: 1, seconds: key === 'c' ? 3600 : -1 }))
      await catalog.quotaUses.add(uses)
      const { rows } = catalog.upkeep
      assert.equal(await rows.forgetQuotaUses(1), 1)
      assert.equal(await rows.forgetQuotaUses(9), 1)
      assert.equal((await catalog.quotaUses.take('c', 1, 2, 3600)).used, 2)
      await catalog.close()
    })
  })
}
