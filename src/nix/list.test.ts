import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openBench, system, type Bench } from './testing.ts'

describe('the packages of a set', () => {
  let bench: Bench
  before(async () => {
    bench = await openBench()
  })
  after(() => bench.close())

  const names = Array.from({ length: 60 }, (_, index) => `p${String(index).padStart(2, '0')}`)
  const list = async (
    bad: (index: number) => string | undefined,
    limits: Parameters<Bench['limited']>[0] = {},
  ) => {
    const bodies = names.map((name, index) => `${name} = ${bad(index) ?? `package "${name}-1"`};`)
    const folder = await bench.set(`
      package = name: derivation { inherit name system unique; builder = "/bin/sh"; args = [ ]; };
      ${bodies.join('\n')}`)
    const { versions, failed } = await bench.limited(limits).listVersions({ set: { folder }, system }, {})
    return {
      listed: versions.map(({ attribute }) => attribute).filter((name) => names.includes(name)),
      failed,
    }
  }

  it('are listed, however many of them abort the evaluation', async () => {
    const isBad = (index: number) => index % 3 !== 0
    const { listed, failed } = await list((index) => (isBad(index) ? 'abort "no"' : undefined))
    assert.deepEqual(
      listed.toSorted(),
      names.filter((_, index) => !isBad(index)),
    )
    assert.deepEqual(
      failed.toSorted(),
      names.filter((_, index) => isBad(index)),
    )
  })

  it('are listed without one that exceeds the memory limit of an evaluation', async () => {
    const greedy = 'builtins.deepSeq (builtins.genList (n: builtins.genList (m: n + m) 1000) 1000000) null'
    const { listed, failed } = await list((index) => (index === 7 ? greedy : undefined), { evalMemory: 600 })
    assert.equal(listed.length, 59)
    assert.deepEqual(failed, ['p07'])
  })
})
