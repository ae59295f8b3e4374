import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pull } from '../catalog/catalog.ts'
import { parseImageName } from '../image/name.ts'
import { createAllowance } from '../queue/allowance.ts'
import { createPulls } from './pull-counter.ts'
import type { BuiltImage } from './build.ts'

describe('counted pulls', () => {
  it('have only so many different tags if tags are ignored', async () => {
    const rows: Pull[] = []
    const catalog = {
      rememberPulls: async (pulls: readonly Pull[]) => void rows.push(...pulls),
      rememberUses: async () => {},
    }
    const pulls = createPulls(catalog, { takeManifests: () => new Map() }, 1e6, createAllowance(2, 0))
    const image = { key: 'image', record: {} } as unknown as BuiltImage
    for (const tag of ['v1', 'latest', 'v2', 'v3', 'v4', 'v2']) pulls.note(parseImageName('git', tag), image)
    await pulls.close()
    const counts = Map.groupBy(rows, ({ tag }) => tag)
    const sums = [...counts].map(([tag, each]) => [tag, each.reduce((sum, { count }) => sum + count, 0)])
    assert.deepEqual(Object.fromEntries(sums), { v1: 1, v2: 2, latest: 3 })
  })
})
