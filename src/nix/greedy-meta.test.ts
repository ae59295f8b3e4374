import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openBench, system, type Bench } from './testing.ts'

describe('a package whose meta takes too much', () => {
  let bench: Bench
  before(async () => {
    bench = await openBench('warm')
  })
  after(() => bench.close())

  /** What `good/bad` and `bad` are; `meta` is that of `bad`. */
  const looked = async (meta: string, limits: Parameters<Bench['limited']>[0]) => {
    const folder = await bench.set(`
      several = derivation {
        name = "several-1"; inherit system unique; builder = "/bin/sh"; args = [ ]; outputs = [ "out" "bin" ];
      };
      good = several // { meta = { outputsToInstall = [ "bin" ]; priority = 3; }; };
      bad = several // { meta = { outputsToInstall = [ "bin" ]; priority = ${meta}; }; };`)
    const nix = bench.limited(limits)
    const attributes = [['good'], ['bad']]
    const found = await nix.evaluate({ set: { folder }, system, attributes }, {})
    return found.map((each) => {
      if (each.status !== 'package') return each
      return { outputs: each.outputs.map(({ output }) => output), priority: each.priority }
    })
  }
  // The other package keeps what its meta says: what is remembered of it must not depend on its company.
  const expected = [
    { outputs: ['out', 'bin'], priority: 3 },
    { outputs: ['out'], priority: 5 },
  ]

  it('memory, is looked up without it', async () => {
    const greedy =
      'builtins.length (builtins.deepSeq (builtins.genList (n: builtins.genList (m: n + m) 1000) 1000000) [ ])'
    assert.deepEqual(await looked(greedy, { evalMemory: 600 }), expected)
  })

  it('time, is looked up without it', async () => {
    const slow = 'import (run "slow-1" "/bin/sleep 60")'
    assert.deepEqual(await looked(slow, { evalTimeout: 6 }), expected)
  })
})
