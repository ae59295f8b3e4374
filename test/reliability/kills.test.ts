import assert from 'node:assert/strict'
import { it } from 'node:test'
import { demoPackages } from '../support/workspace.ts'
import { runKills } from './kills.ts'

it('killed servers leave no wrong data, blocked builds or stray files', async (t) => {
  const seed = Number(process.env['NIXERY_TEST_SEED'] ?? Date.now() % 1e9)
  t.diagnostic(`seed ${seed}: NIXERY_TEST_SEED=${seed} repeats this run`)
  const figures = await runKills({
    seed,
    kills: 10,
    perWorld: 10,
    demo: await demoPackages(),
    say: (line) => t.diagnostic(line),
  })
  assert.ok(figures.pulled > 0 && figures.hashed > 0)
  assert.equal(figures.unserved, 0)
})
