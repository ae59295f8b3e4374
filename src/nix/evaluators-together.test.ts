import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { hasCode } from '../errors.ts'
import { createEvaluators, type Evaluators } from './evaluators.ts'
import { environmentOfNix, openBench, system, type Bench } from './testing.ts'

describe('concurrent evaluations', () => {
  let bench: Bench
  before(async () => {
    bench = await openBench('warm')
  })
  after(() => bench.close())

  it('do not wait for a slow one of the same set', async () => {
    // Some minutes, in little memory.
    const set = await bench.set(`
      trivial = 1;
      slow = let many = builtins.genList (n: n) 10000; count = builtins.foldl' (sum: n: sum + n) 0;
        in builtins.foldl' (sum: n: sum + count many) 0 (builtins.genList (n: n) 1000000);`)
    const nix = bench.limited({ concurrency: 1 })
    const lookUp = (name: string) => ({ set: { folder: set }, system, attributes: [[name]] })
    const leaving = new AbortController()
    let over = false
    const slow = nix
      .evaluate(lookUp('slow'), { signal: leaving.signal })
      .finally(() => (over = true))
      .catch((error: unknown) => error)
    while (!nix.evaluators().processes.some(({ idle }) => idle === 0)) await sleep(10)
    const answers = await Promise.all([1, 2].map(() => nix.evaluate(lookUp('trivial'), {})))
    for (const answer of answers)
      assert.deepEqual(answer, [{ status: 'other', path: ['trivial'], type: 'int' }])
    assert.ok(!over)
    assert.deepEqual([nix.evaluators().cold, nix.evaluators().warm], [2, 0])
    leaving.abort()
    assert.ok(hasCode(await slow, 'CANCELLED'))
    // After it has ended, the others are served warm again.
    await nix.evaluate(lookUp('trivial'), {})
    assert.equal(nix.evaluators().warm, 1)
  })

  it('never exceed the memory limit together, and idle processes make room', async () => {
    const sets = await Promise.all([1, 2, 3, 4].map(() => bench.set('good = 1;')))
    const environment = await environmentOfNix()
    const open = (memory: number) =>
      createEvaluators({
        evaluator: 'warm',
        concurrency: 2,
        home: join(bench.folder, 'evaluators'),
        mostKept: Infinity,
        memory,
      })
    const ask = async (evaluators: Evaluators, folder: string) => {
      const lookUp = { set: { folder }, revision: '1', system, attributes: [['good']] }
      const answer = await evaluators.evaluate(lookUp, { environment, timeout: 60_000 })
      assert.deepEqual(answer, [{ status: 'other', path: ['good'], type: 'int' }])
      return evaluators.state().processes.reduce((sum, { memory }) => sum + memory, 0)
    }
    const measuring = open(4e9)
    const one = await ask(measuring, sets[0] ?? '')
    await measuring.close()

    // Each may use half of it: next to a busy process there is room for an idle one.
    const memory = 3 * one
    const evaluators = open(memory)
    for (const set of sets) assert.ok((await ask(evaluators, set)) <= memory)
    assert.equal(evaluators.state().processes.length, 2)
    assert.equal(evaluators.state().warm, 4)
    await evaluators.close()
  })
})
