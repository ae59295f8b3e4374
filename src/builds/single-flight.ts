import { unwanted, urgencies, type Demand, type PartialDemand, type Urgency } from '../queue/demand.ts'

/** Work in progress, by key. Concurrent callers with the same key share it. */
export type Flights<T> = {
  /**
   * Joins the work with this key, or starts it. When the caller's signal fires, only this caller stops waiting. Work is
   * cancelled (its own signal fires) when no caller waits and none is expected back, unless it is committed; a later caller
   * starts it again.
   * @throws CANCELLED when the caller's signal fires; the errors of the work
   */
  run(key: string, start: Start<T>, waiter?: Waiter): Promise<T>
  /**
   * Keeps the work with this key alive for a caller that will return: for `ms` milliseconds from now, and from each
   * later call of `run`.
   * @returns whether there is such work
   */
  expect(key: string, ms: number): boolean
  /** Whether there is work with this key to join. */
  has(key: string): boolean
  readonly size: number
}

/** Starts the work. After it has called `commit`, it continues when all callers have left, and later ones join it. */
export type Start<T> = (demand: Demand, commit: () => void) => Promise<T>

/** A caller. */
export type Waiter = PartialDemand & {
  /** Waits until the work has ended even if the signal fires, for work that uses resources of the caller. */
  readonly untilOver?: boolean
}

type Flight<T> = {
  readonly result: Promise<T>
  readonly abort: AbortController
  readonly waiters: Set<Waiter>
  committed: boolean
  /** Set while a caller is expected back. */
  lease: { readonly timer: NodeJS.Timeout; readonly ms: number } | undefined
}

/** @param changed called when the urgency of some work may have changed */
export function createFlights<T>(changed: () => void = () => {}): Flights<T> {
  const flights = new Map<string, Flight<T>>()

  const begin = (key: string, start: Start<T>, first: Waiter): Flight<T> => {
    const abort = new AbortController()
    const waiters = new Set([first])
    const pending = Promise.withResolvers<T>()
    const flight: Flight<T> = { result: pending.promise, abort, waiters, committed: false, lease: undefined }
    flights.set(key, flight)
    const demand = { signal: abort.signal, urgency: () => urgencyOf(flight) }
    pending.promise.catch(() => {}) // each waiter gets the error; without waiters it is ignored
    const commit = () => {
      flight.committed = true
    }
    const run = async () => {
      try {
        pending.resolve(await start(demand, commit))
      } catch (error) {
        pending.reject(error)
      } finally {
        clearTimeout(flight.lease?.timer)
        if (flights.get(key) === flight) flights.delete(key)
      }
    }
    void run()
    return flight
  }

  const cancelUnwanted = (key: string, flight: Flight<T>) => {
    if (flight.waiters.size > 0 || flight.lease || flight.committed || flights.get(key) !== flight) return
    flights.delete(key)
    flight.abort.abort()
  }

  const lease = (key: string, flight: Flight<T>, ms: number) => {
    clearTimeout(flight.lease?.timer)
    const expire = () => {
      flight.lease = undefined
      cancelUnwanted(key, flight)
      changed()
    }
    flight.lease = { timer: setTimeout(expire, ms).unref(), ms }
  }

  return {
    get size() {
      return flights.size
    },

    has: (key) => flights.has(key),

    async run(key, start, waiter = {}) {
      const { signal, untilOver = false } = waiter
      if (signal?.aborted) throw unwanted(signal.reason)
      const me = { ...waiter } // a new object, since a caller may wait twice
      let flight = flights.get(key)
      if (flight) flight.waiters.add(me)
      else flight = begin(key, start, me)
      if (flight.lease) lease(key, flight, flight.lease.ms)
      changed()
      const joined = flight
      const left = Promise.withResolvers<never>()
      left.promise.catch(() => {}) // it has no handler if `untilOver` is set
      const stopWaiting = () => {
        if (!joined.waiters.delete(me)) return
        cancelUnwanted(key, joined)
        changed()
      }
      const leave = () => {
        queueMicrotask(stopWaiting) // so that another caller can join in the same turn
        left.reject(unwanted(signal?.reason))
      }
      signal?.addEventListener('abort', leave)
      try {
        return await (untilOver ? joined.result : Promise.race([joined.result, left.promise]))
      } finally {
        signal?.removeEventListener('abort', leave)
        stopWaiting()
      }
    },

    expect(key, ms) {
      const flight = flights.get(key)
      if (flight) lease(key, flight, ms)
      return flight !== undefined
    },
  }
}

/** The urgency of the most urgent caller. */
function urgencyOf({ waiters, lease }: Flight<unknown>): Urgency {
  let highest: Urgency = lease ? urgencies.expected : urgencies.background
  for (const { urgency = () => urgencies.waiting } of waiters) {
    const one = urgency()
    if (one > highest) highest = one
  }
  return highest
}
