import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import type { ImageKey } from './catalog.ts'
import { testKey } from './keys-testing.ts'
import { openSqliteCatalog } from './sqlite.ts'

describe('images served under a name', () => {
  it('records which digests belong to images that were ever served under a name', async () => {
    const catalog = await openSqliteCatalog(':memory:')
    const [first, second, other] = ['first', 'second', 'other'].map((text) => digestOf(text))
    assert.ok(first && second && other)
    const pull = (repository: string, image: string) =>
      ({
        repository,
        tag: 'latest',
        architecture: 'amd64',
        image: testKey<ImageKey>(image),
        at: 100,
        count: 1,
      }) as const
    await catalog.rememberImage(testKey('a'), { config: { digest: first } }, 50)
    await catalog.rememberImage(testKey('b'), { layers: [{ digest: second }] }, 50)
    await catalog.rememberPulls([pull('git', 'a')])
    await catalog.rememberPulls([pull('git', 'b'), pull('shell', 'b')])
    assert.equal(await catalog.holds('git', first), true)
    assert.equal(await catalog.holds('git', second), true)
    assert.equal(await catalog.holds('git', other), false)
    assert.equal(await catalog.holds('shell', first), false)
    assert.equal(await catalog.holds('none', first), false)
    await catalog.upkeep.forgetImages([testKey('a')], 1_000)
    assert.equal(await catalog.holds('git', first), false)
    assert.equal(await catalog.holds('git', second), true)
    await catalog.close()
  })
})
