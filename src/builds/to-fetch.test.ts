import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import type { Catalog } from '../catalog/catalog.ts'
import { factsOf } from '../contents/cache/cached.ts'
import { inCache, pathOf } from '../contents/cache/testing.ts'
import { digestOf } from '../image/digest.ts'
import { file } from '../layers/testing.ts'
import { memberKey } from './layers.ts'
import { passToFetch } from './to-fetch.ts'

const found = (name: string, size: number) => inCache(pathOf(name), file('x'.repeat(size)))[1]
const compressorId = 'any'

/** A catalog that knows a listing of one path and a member of another, and records the sizes of queries. */
function catalogOf(listed: string, packed: string, fails = false) {
  const queries: number[] = []
  const catalog: Pick<Catalog, 'listings' | 'members'> = {
    async listings(paths) {
      queries.push(paths.length)
      if (fails) throw new Error('it is locked')
      return new Map(
        paths.flatMap(({ storePath }) => (storePath === pathOf(listed) ? [[storePath, 'l']] : [])),
      )
    },
    async members(keys) {
      const key = memberKey(factsOf(found(packed, 5)), compressorId)
      const digest = digestOf('')
      return new Map(keys.includes(key) ? [[key, { key, digest, offset: 0, length: 1 }]] : [])
    },
  }
  return { catalog, queries }
}

describe('what will probably be downloaded', () => {
  it('is fetched in one request, and passed on by size without what is already packed', async () => {
    const { catalog, queries } = catalogOf('listed', 'packed')
    const passed: string[] = []
    const pass = passToFetch({ catalog, compressorId }, ({ narinfo }) => void passed.push(narinfo.storePath))
    for (const [name, size] of Object.entries({ small: 10, listed: 20, large: 3000, packed: 5 }))
      pass(found(name, size))
    await turn()
    await turn()
    assert.deepEqual(passed, [pathOf('large'), pathOf('small')])
    pass(found('later', 1))
    await turn()
    await turn()
    assert.deepEqual(passed.at(-1), pathOf('later'))
    assert.deepEqual(queries, [4, 1])
  })

  it('is nothing while the catalog fails', async () => {
    const { catalog, queries } = catalogOf('', '', true)
    const pass = passToFetch({ catalog, compressorId }, () => assert.fail('it is not known'))
    for (const name of ['a', 'b']) {
      pass(found(name, 1))
      await turn()
      await turn()
    }
    assert.deepEqual(queries, [1, 1])
  })
})
