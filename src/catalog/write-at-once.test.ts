import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { writeAtOnce } from './write-at-once.ts'

describe('writeAtOnce', () => {
  it('writes the items of one turn together, in order, and later ones afterwards', async () => {
    const writes: (readonly string[])[] = []
    const write = writeAtOnce(async (items: readonly string[]) => void writes.push(items))
    const later = async () => {
      await Promise.resolve()
      await write('c')
    }
    await Promise.all([write('a'), write('b'), later()])
    await write('d')
    assert.deepEqual(writes, [['a', 'b', 'c'], ['d']])
  })

  it('fails the callers of a failed write, and no others', async () => {
    const write = writeAtOnce(async (items: readonly string[]) => {
      if (items.includes('bad')) throw new Error('it is bad')
    })
    await Promise.all(['bad', 'other'].map((item) => assert.rejects(write(item), /it is bad/)))
    await write('other')
  })
})
