import { describe, it } from 'node:test'
import { targets } from './parsers.ts'

const seed = Number(process.env['NIXERY_TEST_SEED'] ?? Date.now() % 1e9)

describe('arbitrary input', () => {
  for (const target of targets) {
    it(`is parsed or rejected: ${target.name}`, async (t) => {
      t.diagnostic(`NIXERY_TEST_SEED=${seed}`)
      await target.check({ seed, numRuns: 1000 })
    })
  }
})
