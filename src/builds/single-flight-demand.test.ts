import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NixeryError } from '../errors.ts'
import { urgencies, type Demand } from '../queue/demand.ts'
import { createFlights } from './single-flight.ts'
import { cancelled, work } from './single-flight-testing.ts'

describe('flights', () => {
  it('continue after the commitment, for later callers', async () => {
    const flights = createFlights<string>()
    const end = Promise.withResolvers<string>()
    let starts = 0
    const start = (_: Demand, commit: () => void) => {
      starts += 1
      commit()
      return end.promise
    }
    const leaving = new AbortController()
    const first = flights.run('key', start, leaving)
    leaving.abort()
    await cancelled(first)
    const second = flights.run('key', start)
    end.resolve('done')
    assert.equal(await second, 'done')
    assert.equal(starts, 1)
    assert.equal(flights.size, 0)
  })

  it('have the urgency of the currently most urgent caller', async () => {
    let changes = 0
    const flights = createFlights<string>(() => (changes += 1))
    const end = Promise.withResolvers<string>()
    let demand: Demand | undefined
    const start = (one: Demand) => {
      demand = one
      return end.promise
    }
    const urgency = () => urgencies.background
    const all = [flights.run('key', start, { urgency })]
    assert.equal(demand?.urgency(), urgencies.background)
    const client = new AbortController()
    const waiting = flights.run('key', start, client)
    assert.deepEqual([demand?.urgency(), changes], [urgencies.waiting, 2])
    flights.expect('key', 60_000)
    client.abort()
    await cancelled(waiting)
    assert.deepEqual([demand?.urgency(), changes], [urgencies.expected, 3])
    all.push(flights.run('key', start))
    assert.equal(demand?.urgency(), urgencies.waiting)
    end.resolve('done')
    assert.deepEqual(await Promise.all(all), ['done', 'done'])
  })

  it('are needed while a caller is expected, from each request on', async (test) => {
    test.mock.timers.enable({ apis: ['setTimeout'] })
    const flights = createFlights<string>()
    const { start, signals } = work()
    const ask = () => {
      const client = new AbortController()
      const result = flights.run('key', start, client)
      return { client, result }
    }
    const first = ask()
    assert.ok(flights.expect('key', 1000))
    first.client.abort()
    await cancelled(first.result)
    test.mock.timers.tick(900)
    const second = ask()
    second.client.abort()
    await cancelled(second.result)
    test.mock.timers.tick(900)
    assert.deepEqual([signals.length, signals[0]?.aborted, flights.size], [1, false, 1])
    test.mock.timers.tick(100)
    assert.deepEqual([signals[0]?.aborted, flights.size], [true, 0])
    assert.ok(!flights.expect('key', 1000))
  })

  it('continue without expected callers while one waits, or after the commitment', async (test) => {
    test.mock.timers.enable({ apis: ['setTimeout'] })
    const flights = createFlights<string>()
    const end = Promise.withResolvers<string>()
    let demand: Demand | undefined
    let commit = () => {}
    const start = (one: Demand, committing: () => void) => {
      ;[demand, commit] = [one, committing]
      return end.promise
    }
    const client = new AbortController()
    const waiting = flights.run('key', start, client)
    flights.expect('key', 10)
    test.mock.timers.tick(10)
    assert.deepEqual([demand?.signal.aborted, demand?.urgency()], [false, urgencies.waiting])
    commit()
    client.abort()
    await cancelled(waiting)
    assert.deepEqual([demand?.signal.aborted, demand?.urgency()], [false, urgencies.background])
    end.resolve('done')
  })

  it('are cancelled immediately, but a caller can wait until they have ended', async () => {
    const flights = createFlights<string>()
    const client = new AbortController()
    let over = false
    const end = Promise.withResolvers<void>()
    const start = async ({ signal }: Demand) => {
      await end.promise
      over = true
      if (signal.aborted) throw new NixeryError('CANCELLED', 'left')
      return 'done'
    }
    const waiting = flights.run('key', start, { signal: client.signal, untilOver: true })
    client.abort()
    await Promise.resolve()
    assert.equal(flights.size, 0)
    end.resolve()
    await cancelled(waiting)
    assert.ok(over)
  })
})
