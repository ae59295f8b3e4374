import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hasCode } from '../errors.ts'
import { urgencies, type Urgency } from './demand.ts'
import { createLimiter } from './limiter.ts'

const cancelled = (task: Promise<unknown>) => assert.rejects(task, (error) => hasCode(error, 'CANCELLED'))

describe('a limiter', () => {
  it('starts the most urgent task first, and equally urgent tasks in order of arrival', async () => {
    const urgency = fc.constantFrom(...Object.values(urgencies))
    await fc.assert(
      fc.asyncProperty(fc.array(urgency, { maxLength: 20 }), async (all) => {
        const limiter = createLimiter(1)
        const started: number[] = []
        const gate = Promise.withResolvers<void>()
        const tasks = [limiter.run(() => gate.promise)]
        for (const [index, one] of all.entries())
          tasks.push(limiter.run(async () => void started.push(index), { urgency: () => one }))
        gate.resolve()
        await Promise.all(tasks)
        const expected = [...all.keys()].toSorted((a, b) => (all[b] ?? 0) - (all[a] ?? 0) || a - b)
        assert.deepEqual(started, expected)
      }),
    )
  })

  it('reads the urgency when a task ends', async () => {
    const limiter = createLimiter(1)
    const started: string[] = []
    const gate = Promise.withResolvers<void>()
    let raised: Urgency = urgencies.background
    const tasks = [
      limiter.run(() => gate.promise),
      limiter.run(async () => started.push('expected'), { urgency: () => urgencies.expected }),
      limiter.run(async () => started.push('raised'), { urgency: () => raised }),
    ]
    raised = urgencies.waiting
    gate.resolve()
    await Promise.all(tasks)
    assert.deepEqual(started, ['raised', 'expected'])
  })

  it('never exceeds its limit, even when tasks fail', async () => {
    const limiter = createLimiter(3)
    let most = 0
    const tasks = Array.from({ length: 20 }, (_, index) =>
      limiter.run(async () => {
        most = Math.max(most, limiter.running)
        await Promise.resolve()
        if (index % 3 === 0) throw new Error('no')
      }),
    )
    assert.deepEqual([limiter.running, limiter.waiting], [3, 17])
    const settled = await Promise.allSettled(tasks)
    assert.equal(settled.filter(({ status }) => status === 'rejected').length, 7)
    assert.deepEqual([most, limiter.running, limiter.waiting], [3, 0, 0])
  })

  it('drops cancelled tasks immediately, unless they have started', async () => {
    const limiter = createLimiter(1)
    const gate = Promise.withResolvers<string>()
    const [running, waiting] = [new AbortController(), new AbortController()]
    const started = limiter.run(() => gate.promise, running)
    const left = limiter.run(assert.fail, waiting)
    assert.equal(limiter.waiting, 1)
    running.abort()
    waiting.abort()
    assert.equal(limiter.waiting, 0)
    await cancelled(left)
    await cancelled(limiter.run(assert.fail, { signal: AbortSignal.abort() }))
    gate.resolve('done')
    assert.equal(await started, 'done')
    for (const { signal } of [running, waiting]) assert.equal(getEventListeners(signal, 'abort').length, 0)
  })
})
