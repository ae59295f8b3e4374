import assert from 'node:assert/strict'
import { it } from 'node:test'
import { demoPackages } from '../support/workspace.ts'
import { runKills } from './kills.ts'

it('servers that are killed at any moment leave nothing wrong, stuck or behind', async (t) => {
  const seed = Number(process.env['NIXERY_TEST_SEED'] ?? Date.now() % 1e9)
  t.diagnostic(`seed ${seed}: NIXERY_TEST_SEED=${seed} chooses the same moments`)
  const figures = await runKills({
    seed,
    kills: 10,
    perWorld: 10,
    demo: await demoPackages(),
    say: (line) => t.diagnostic(line),
  })
  assert.ok(figures.answered > 0 && figures.hashed > 0)
  assert.equal(figures.unserved, 0)
})
