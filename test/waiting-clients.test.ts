import assert from 'node:assert/strict'
import { after, describe, it } from 'node:test'
import { hasCode, NixeryError } from '../src/errors.ts'
import { createGate, type Gate } from './support/gate.ts'
import { until } from './support/until.ts'
import { openWorker, packageSet } from './worker-testing.ts'

describe('a client that waits for a build', () => {
  const gates: Gate[] = []
  after(() => gates.forEach((gate) => gate.dispose()))
  /** A worker whose builders wait for a gate. */
  const openSlowWorker = async () => {
    const gate = createGate()
    gates.push(gate)
    const set = await packageSet(`
      slow = run "slow" "${gate.wait}; mkdir -p $out/bin; echo > $out/bin/slow";
      failing = run "failing" "${gate.wait}; echo last words; exit 3";
    `)
    return { gate, ...(await openWorker(set)) }
  }
  /** Pulls until a retry response names a build. On a busy machine, the limit may expire before one starts. */
  const untilRetry = async (pull: () => Promise<unknown>): Promise<string> => {
    for (;;) {
      const error: unknown = await pull().then(
        () => assert.fail('the image was built too early'),
        (reason: unknown) => reason,
      )
      assert.ok(error instanceof NixeryError && error.code === 'STILL_BUILDING', String(error))
      const { build } = error.detail as { build: string | undefined }
      if (build === undefined) continue
      assert.match(build, /^[0-9a-f-]{36}$/)
      return build
    }
  }

  it('gets a retry response after the limit, and joins the same build', async () => {
    const { gate, pull, events } = await openSlowWorker()
    const build = await untilRetry(() => pull('slow', 100))
    assert.equal(await untilRetry(() => pull('slow', 100)), build)
    gate.open()
    assert.equal((await pull('slow', 60_000)).layers.length > 0, true)
    assert.equal(events.filter(({ type }) => type === 'started').length, 1)
  })

  it('gets the failure of the build when it retries', async () => {
    const { gate, pull, events } = await openSlowWorker()
    await untilRetry(() => pull('failing', 100))
    gate.open()
    const failed = (error: unknown) => hasCode(error, 'BUILD_FAILED') && error.message.includes('last words')
    await until(() => events.some(({ type }) => type === 'failed'), 'the build fails')
    await assert.rejects(pull('failing'), failed)
    assert.equal(events.filter(({ type }) => type === 'started').length, 1)
  })

  it('fails when the registry stops', async () => {
    const { gate, pull, worker, events } = await openSlowWorker()
    const waiting = assert.rejects(pull('slow'), (error) => hasCode(error, 'CANCELLED'))
    await until(() => events.some(({ type }) => type === 'started'), 'the build has started')
    worker.builds.drain()
    await waiting
    await assert.rejects(pull('slow'), (error) => hasCode(error, 'CANCELLED'))
    gate.open()
  })
})
