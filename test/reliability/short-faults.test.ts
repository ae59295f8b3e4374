import assert from 'node:assert/strict'
import { it } from 'node:test'
import { runMigrations } from './migrations.ts'
import { runSlowGc } from './slow-gc.ts'

// Short versions of what `npm run faults` runs.
const seed = Number(process.env['NIXERY_TEST_SEED'] ?? Date.now() % 1e9)

it('a catalog survives kills while its schema is changed', async (t) => {
  t.diagnostic(`seed ${seed}`)
  const figures = await runMigrations({ seed, kills: 3, say: (line) => t.diagnostic(line) })
  assert.equal(figures.migrationsKilled, 3)
})

it('a slow garbage collection keeps images that are pulled in the meantime', async (t) => {
  t.diagnostic(`seed ${seed}`)
  const figures = await runSlowGc({ seed, rounds: 3, say: (line) => t.diagnostic(line) })
  assert.equal(figures.slowCollections, 3)
})
