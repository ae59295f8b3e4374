import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { until } from '../../test/support/until.ts'
import { createSweep } from './sweep.ts'
import { openWorld } from './upkeep-testing.ts'

it('rows of quotas are removed soon after their windows have ended, in bounded batches', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'nixery-sweep-'))
  const { catalog } = await openWorld(directory)
  const use = (key: string, seconds: number) => ({ key, amount: 1, seconds })
  await catalog.quotaUses.add(Array.from({ length: 1_200 }, (_, n) => use(`ended ${n}`, -10)))
  await catalog.quotaUses.add([use('running', 3600)])
  const { rows } = catalog.upkeep
  const removed: number[] = []
  const counted = async (limit: number) => {
    const count = await rows.forgetQuotaUses(limit)
    removed.push(count)
    return count
  }
  const upkeep = { ...catalog.upkeep, rows: { ...rows, forgetQuotaUses: counted } }
  const sweep = createSweep({ upkeep }, 0.01)
  sweep.start()
  await until(() => removed.length > 4, 'it has swept twice')
  await sweep.stop()
  assert.deepEqual(removed.slice(0, 4), [500, 500, 200, 0])
  const after = removed.length
  assert.equal((await catalog.quotaUses.take('running', 1, 2, 3600)).used, 2)
  assert.equal(removed.length, after)
  await catalog.close()
  await rm(directory, { recursive: true })
})
