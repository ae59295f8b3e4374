import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate as turn } from 'node:timers/promises'
import { atOnce } from './at-once.ts'

describe('atOnce', () => {
  it('looks up the keys of one turn together, each once', async () => {
    const loads: (readonly string[])[] = []
    const find = atOnce(async (keys: readonly string[]) => {
      loads.push(keys)
      return new Map(keys.filter((key) => key !== 'missing').map((key) => [key, key.length]))
    })
    const later = async () => {
      await Promise.resolve()
      return find('later')
    }
    const found = await Promise.all([find('a'), find('bb'), find('a'), find('missing'), later()])
    assert.deepEqual(found, [1, 2, 1, undefined, 5])
    assert.equal(await find('a'), 1)
    assert.deepEqual(loads, [['a', 'bb', 'missing', 'later'], ['a']])
  })

  it('bounds the size of a lookup, and fails only its callers', async () => {
    const sizes: number[] = []
    const find = atOnce(async (keys: readonly string[]) => {
      sizes.push(keys.length)
      if (keys.includes('bad')) throw new Error('it is bad')
      return new Map(keys.map((key) => [key, key]))
    })
    const many = Array.from({ length: 5_001 }, (_, n) => find(`k${n}`))
    assert.equal((await Promise.all(many)).length, 5_001)
    assert.deepEqual(sizes, [5_000, 1])
    await Promise.all(['bad', 'other'].map((key) => assert.rejects(find(key), /it is bad/)))
    await turn()
    assert.equal(await find('other'), 'other')
  })
})
