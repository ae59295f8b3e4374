import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { createFlights } from './single-flight.ts'
import { cancelled, work } from './single-flight-testing.ts'

describe('flights', () => {
  it('are shared by concurrent callers with the same key', async () => {
    const flights = createFlights<string>()
    const { start, ends, signals } = work()
    const waiters = [1, 2, 3].map(() => flights.run('key', start))
    assert.equal(flights.size, 1)
    ends[0]?.resolve('done')
    assert.deepEqual(await Promise.all(waiters), ['done', 'done', 'done'])
    assert.equal(ends.length, 1)
    assert.equal(flights.size, 0)
    assert.equal(signals[0]?.aborted, false)
  })

  it('are separate for different keys', async () => {
    const flights = createFlights<string>()
    const { start, ends } = work()
    const waiters = ['a', 'b'].map((key) => flights.run(key, start))
    assert.equal(flights.size, 2)
    ends[1]?.resolve('b')
    assert.equal(await waiters[1], 'b')
    assert.equal(flights.size, 1)
    ends[0]?.resolve('a')
    assert.equal(await waiters[0], 'a')
  })

  it('start again after they have ended', async () => {
    const flights = createFlights<number>()
    let count = 0
    const start = () => Promise.resolve((count += 1))
    assert.deepEqual([await flights.run('key', start), await flights.run('key', start)], [1, 2])
  })

  it('report a failure to all callers, and start again after it', async () => {
    const flights = createFlights<string>()
    const { start, ends } = work()
    const failure = new Error('no')
    const waiters = [1, 2, 3].map(() => flights.run('key', start))
    ends[0]?.reject(failure)
    for (const waiter of waiters) await assert.rejects(waiter, failure)
    assert.equal(flights.size, 0)
    const again = flights.run('key', start)
    ends[1]?.resolve('done')
    assert.equal(await again, 'done')
  })

  it('leave nothing behind if they fail to start', async () => {
    const flights = createFlights<string>()
    const failure = new Error('at once')
    const start = () => {
      throw failure
    }
    await assert.rejects(flights.run('key', start), failure)
    assert.equal(flights.size, 0)
  })

  it('continue for the others when one leaves', async () => {
    const flights = createFlights<string>()
    const { start, ends, signals } = work()
    const client = new AbortController()
    const [leaving, staying] = [flights.run('key', start, client), flights.run('key', start)]
    client.abort()
    await cancelled(leaving)
    assert.equal(signals[0]?.aborted, false)
    assert.equal(flights.size, 1)
    ends[0]?.resolve('done')
    assert.equal(await staying, 'done')
    assert.equal(ends.length, 1)
  })

  it('continue when the first caller leaves', async () => {
    const flights = createFlights<string>()
    const { start, ends } = work()
    const client = new AbortController()
    const beginning = flights.run('key', start, client)
    client.abort()
    const joining = flights.run('key', start)
    await cancelled(beginning)
    ends[0]?.resolve('done')
    assert.equal(await joining, 'done')
    assert.equal(ends.length, 1)
  })

  it('are cancelled only when the last caller has left', async () => {
    const flights = createFlights<string>()
    const { start, signals } = work()
    const clients = [1, 2, 3].map(() => new AbortController())
    const waiters = clients.map((client) => flights.run('key', start, client))
    for (const [index, client] of clients.entries()) {
      assert.equal(signals[0]?.aborted, false)
      client.abort()
      await cancelled(waiters[index] ?? assert.fail())
    }
    assert.equal(signals[0]?.aborted, true)
    assert.equal(flights.size, 0)
  })

  it('without callers are not joined, and do not affect later ones', async () => {
    const flights = createFlights<string>()
    const { start, ends, signals } = work()
    const client = new AbortController()
    const left = flights.run('key', start, client)
    client.abort()
    await cancelled(left)
    const newcomer = flights.run('key', start)
    assert.equal(ends.length, 2)
    ends[0]?.resolve('late')
    await setImmediate()
    assert.equal(flights.size, 1)
    assert.equal(signals[1]?.aborted, false)
    ends[1]?.resolve('new')
    assert.equal(await newcomer, 'new')
  })

  it('without callers may fail silently', async () => {
    const flights = createFlights<string>()
    const { start, ends } = work()
    const client = new AbortController()
    const left = flights.run('key', start, client)
    client.abort()
    await cancelled(left)
    ends[0]?.reject(new Error('unheard')) // an unhandled rejection would fail this test
    await setImmediate()
    assert.equal(flights.size, 0)
  })

  it('do not start for a caller that has left already', async () => {
    const flights = createFlights<string>()
    const { start, ends } = work()
    await cancelled(flights.run('key', start, { signal: AbortSignal.abort() }))
    assert.deepEqual([ends.length, flights.size], [0, 0])
  })

  it('do not retain the signals of callers that have left', async () => {
    const flights = createFlights<string>()
    const { start, ends } = work()
    const [stayer, leaver] = [new AbortController(), new AbortController()]
    const stayed = flights.run('key', start, stayer)
    const left = flights.run('key', start, leaver)
    leaver.abort()
    await cancelled(left)
    ends[0]?.resolve('done')
    await stayed
    for (const { signal } of [stayer, leaver]) assert.equal(getEventListeners(signal, 'abort').length, 0)
    stayer.abort() // too late to cancel anything
    assert.equal(await stayed, 'done')
  })
})
