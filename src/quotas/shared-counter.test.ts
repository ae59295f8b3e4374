import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { QuotaUses } from '../catalog/quota-uses.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { hasCode } from '../errors.ts'
import { guarded } from './ledger.ts'
import type { Quota } from './quota.ts'
import { createUsage } from './quotas.ts'

const holder = (name: string) => ({ id: name, key: name, shown: name })
const [alice, bob] = [holder('alice'), holder('bob')]
const isRefused = (error: unknown) => hasCode(error, 'QUOTA_EXCEEDED')

/** Two servers over one catalog, and how often they used it. */
async function openServers(quota: Quota) {
  const catalog = await openSqliteCatalog(':memory:')
  const lines: string[] = []
  const state = { statements: 0, isAway: false }
  const through = async <T>(work: () => Promise<T>): Promise<T> => {
    state.statements += 1
    if (state.isAway) throw new Error('away')
    return work()
  }
  const uses = catalog.quotaUses
  const ledger: QuotaUses = {
    take: (...args) => through(() => uses.take(...args)),
    add: (...args) => through(() => uses.add(...args)),
    giveBack: (...args) => through(() => uses.giveBack(...args)),
  }
  const server = () =>
    createUsage(
      quota,
      guarded(ledger, (line) => lines.push(line)),
    )
  return { state, lines, servers: [server(), server()] as const, close: () => catalog.close() }
}

describe('quotas of several servers', () => {
  it('limit builds over all of them', async () => {
    const { state, servers, close } = await openServers({ builds: 3 })
    const [one, other] = servers
    await one.build(alice)
    const place = await other.build(alice)
    await one.build(alice)
    await assert.rejects(other.build(alice), isRefused)
    await assert.rejects(one.build(alice), isRefused)
    await one.build(bob)
    assert.equal((await one.headers(alice))['ratelimit-remaining'], '0;w=3600')
    // Repeated refusals, and the headers of other responses, cost no statement.
    const { statements } = state
    for (let n = 0; n < 100; n += 1) await assert.rejects(one.build(alice), isRefused)
    await one.headers(alice)
    assert.equal(state.statements, statements)
    await place.giveBack()
    await other.build(alice)
    await assert.rejects(other.build(alice), isRefused)
    await close()
  })

  it('add up bytes of all of them, without a statement for each blob', async () => {
    const { state, servers, close } = await openServers({ bytes: 1000 })
    const [one, other] = servers
    for (let n = 0; n < 60; n += 1) {
      await one.checkBytes(alice)
      await one.addBytes(alice, 10)
    }
    await other.addBytes(alice, 500)
    await other.checkBytes(alice)
    await one.flush()
    await other.flush()
    assert.equal(state.statements, 2)
    await assert.rejects(other.checkBytes(alice), isRefused)
    await other.checkBytes(bob)
    // This server reads the total with its next bytes.
    await one.addBytes(alice, 1)
    await one.flush()
    await assert.rejects(one.checkBytes(alice), isRefused)
    await close()
  })

  it('count alone while the catalog is away, and say so once', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] })
    let now = performance.now()
    t.mock.method(performance, 'now', () => now)
    const { state, lines, servers, close } = await openServers({ builds: 3, bytes: 1000 })
    const [one, other] = servers
    await one.build(alice)
    state.isAway = true
    await one.build(alice)
    await other.build(alice) // it has not heard of the others
    await one.build(alice)
    await assert.rejects(one.build(alice), isRefused)
    await one.addBytes(alice, 1000)
    await one.flush()
    await assert.rejects(one.checkBytes(alice), isRefused)
    assert.equal(lines.length, 2) // one for each server
    assert.match(lines[0] ?? '', /counted by this server alone/)
    state.isAway = false
    now += 6_000
    await one.flush()
    assert.match(lines[2] ?? '', /together with the other servers again/)
    await other.addBytes(alice, 1)
    await other.flush()
    await assert.rejects(other.checkBytes(alice), isRefused)
    await close()
  })
})
