import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError } from '../errors.ts'
import { createOps, type Checks, type OpsDeps } from './ops.ts'
import type { Reply } from './reply.ts'
import { testRequest } from './web-fetch-testing.ts'

const metrics = () => Promise.resolve({ contentType: 'text/plain; version=0.0.4', text: 'a 1\n' })

let lines: string[]
beforeEach(() => {
  lines = []
})
const opsOf = (checks: Checks, more: Partial<OpsDeps> = {}) =>
  createOps({ checks, metrics, isStopping: () => false, onChange: (line) => lines.push(line), ...more })
const answerTo = async (ops: ReturnType<typeof opsOf>, path: string, method?: string): Promise<Reply> => {
  const reply = await ops(path)?.reply(testRequest(path, { method }))
  assert.ok(reply)
  assert.equal(reply.headers['Cache-Control'], 'no-store')
  return reply
}
const readiness = async (ops: ReturnType<typeof opsOf>) => {
  const { status, body } = await answerTo(ops, '/readyz')
  return [status, JSON.parse(textOf({ body }))]
}

describe('createOps', () => {
  it('serves its own paths, read-only', async () => {
    const ops = opsOf({})
    for (const path of ['/', '/v2/', '/healthz/', '/metricsx', '/__proto__', '/constructor']) {
      assert.equal(ops(path), undefined)
    }
    for (const path of ['/healthz', '/readyz', '/metrics']) {
      for (const method of ['GET', 'HEAD']) {
        const { status, headers, body } = await answerTo(ops, path, method)
        assert.equal(status, 200)
        assert.equal(headers['Content-Length'], String(textOf({ body }).length))
      }
      const refused = await answerTo(ops, path, 'POST')
      assert.deepEqual([refused.status, refused.headers['Allow']], [405, 'GET, HEAD'])
    }
    assert.equal((await answerTo(ops, '/metrics')).headers['Content-Type'], 'text/plain; version=0.0.4')
  })

  it('hides the names of package sets if authentication is on', async () => {
    const broken = () => Promise.reject(new NixeryError('SOURCE_INVALID', 'broken'))
    const ok = () => Promise.resolve()
    const sets = (secret: () => Promise<unknown>, other: () => Promise<unknown>) =>
      opsOf(
        { nix: ok, 'packages secret': secret, 'packages other': other },
        { alternatives: new Set(['packages secret', 'packages other']), showAlternatives: false },
      )
    assert.deepEqual(await readiness(sets(broken, ok)), [
      200,
      { ready: true, checks: { nix: 'ok', packages: 'ok' } },
    ])
    assert.deepEqual(await readiness(sets(broken, broken)), [
      503,
      { ready: false, checks: { nix: 'ok', packages: 'SOURCE_INVALID' } },
    ])
    assert.ok(lines.some((line) => line.includes('packages secret')))
  })

  it('is ready if all checks pass, and reports which do not', async () => {
    let broken: Error | undefined
    const checks = {
      store: async () => {
        await Promise.resolve()
        if (broken) throw broken
      },
      nix: () => Promise.resolve('2.8'),
    }
    const ops = opsOf(checks, { timing: { believed: 0 } })
    assert.deepEqual(await readiness(ops), [200, { ready: true, checks: { store: 'ok', nix: 'ok' } }])
    broken = new NixeryError('STORE_FULL', 'a path that strangers need not know')
    const full = [503, { ready: false, checks: { store: 'STORE_FULL', nix: 'ok' } }]
    assert.deepEqual(await readiness(ops), full)
    assert.deepEqual(await readiness(ops), full)
    broken = new Error('a bug')
    assert.deepEqual(await readiness(ops), [503, { ready: false, checks: { store: 'UNKNOWN', nix: 'ok' } }])
    broken = undefined
    assert.equal((await readiness(ops))[0], 200)
    assert.deepEqual(lines, [
      'the check of store failed: this server is not ready',
      'the check of store succeeds again',
    ])
  })

  it('is ready without a check that is not necessary, and does not wait for it', async () => {
    const hanging = Promise.withResolvers<void>()
    const checks = { store: () => hanging.promise, catalog: () => Promise.resolve() }
    const ops = opsOf(checks, { timing: { believed: 0, timeout: 60_000 }, unnecessary: new Set(['store']) })
    const without = (store: string) => [200, { ready: true, checks: { store, catalog: 'ok' } }]
    assert.deepEqual(await readiness(ops), without('TIMEOUT'))
    hanging.reject(new NixeryError('STORE_UNAVAILABLE', 'away'))
    await assert.rejects(hanging.promise)
    assert.deepEqual(await readiness(ops), without('STORE_UNAVAILABLE'))
    assert.deepEqual(lines, ['the check of store failed'])
  })

  it('checks once for concurrent callers, and reuses the result for a while', async () => {
    let count = 0
    const ops = opsOf({ store: () => Promise.resolve((count += 1)) }, { timing: { believed: 60_000 } })
    await Promise.all([readiness(ops), readiness(ops), readiness(ops)])
    await readiness(ops)
    assert.equal(count, 1)
    const again = opsOf({ store: () => Promise.resolve((count += 1)) }, { timing: { believed: 0 } })
    await readiness(again)
    await sleep(5)
    await readiness(again)
    assert.equal(count, 3)
  })

  it('does not wait for a hanging check, and does not start a second one', async () => {
    const hanging = Promise.withResolvers<void>()
    let count = 0
    const nix = () => {
      count += 1
      return hanging.promise
    }
    const ops = opsOf({ nix }, { timing: { believed: 0, timeout: 20 } })
    const late = [503, { ready: false, checks: { nix: 'TIMEOUT' } }]
    assert.deepEqual(await readiness(ops), late)
    assert.deepEqual(await readiness(ops), late)
    assert.equal(count, 1)
    hanging.resolve()
    assert.equal((await readiness(ops))[0], 200)
  })

  it('is alive, but not ready, while it stops, and runs no checks', async () => {
    const ops = opsOf(
      { store: () => Promise.reject(new Error('must not be checked')) },
      { isStopping: () => true },
    )
    assert.deepEqual(await readiness(ops), [503, { ready: false, stopping: true }])
    assert.equal((await answerTo(ops, '/healthz')).status, 200)
    assert.deepEqual(lines, [])
  })
})

const textOf = ({ body }: Pick<Reply, 'body'>): string => (typeof body === 'string' ? body : '')
