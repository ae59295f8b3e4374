import { unwanted, urgencies, type Demand, type PartialDemand, type Urgency } from '../queue/demand.ts'

/** Work that is in progress, by key: concurrent callers that ask for the same share it. */
export type Flights<T> = {
  /**
   * Waits for the work under `key`, and starts it if nobody has. When the caller's signal fires, only this caller
   * stops waiting. Work that nobody waits for and nobody is expected for is cancelled (its own signal fires) unless
   * it is committed; whoever asks later starts it again.
   * @throws CANCELLED when the caller's signal fires; what the work throws
   */
  run(key: string, start: Start<T>, waiter?: Waiter): Promise<T>
  /**
   * Expects a caller back: the work under `key` is wanted for `ms` milliseconds from now, and from each time that
   * somebody asks for it meanwhile.
   * @returns whether there is such work
   */
  expect(key: string, ms: number): boolean
  readonly size: number
}

/** Begins the work. Once it calls `commit`, the work goes on when all callers have left, and later ones join it. */
export type Start<T> = (demand: Demand, commit: () => void) => Promise<T>

/** A caller. */
export type Waiter = PartialDemand & {
  /** Waits until the work is over even when the signal fires: for work that uses what the caller holds. */
  readonly untilOver?: boolean
}

type Flight<T> = {
  readonly result: Promise<T>
  readonly abort: AbortController
  readonly waiters: Set<Waiter>
  committed: boolean
  /** Runs while a caller is expected back. */
  lease: { readonly timer: NodeJS.Timeout; readonly ms: number } | undefined
}

/** @param changed is called when the urgency of some work may have changed */
export function createFlights<T>(changed: () => void = () => {}): Flights<T> {
  const flights = new Map<string, Flight<T>>()

  const begin = (key: string, start: Start<T>, first: Waiter): Flight<T> => {
    const abort = new AbortController()
    const waiters = new Set([first])
    const pending = Promise.withResolvers<T>()
    const flight: Flight<T> = { result: pending.promise, abort, waiters, committed: false, lease: undefined }
    flights.set(key, flight)
    const demand = { signal: abort.signal, urgency: () => urgencyOf(flight) }
    const land = () => {
      clearTimeout(flight.lease?.timer)
      if (flights.get(key) === flight) flights.delete(key)
    }
    pending.promise.catch(() => {}) // each waiter is told; with none left, nobody needs to be
    const commit = () => {
      flight.committed = true
    }
    const run = async () => start(demand, commit)
    run().finally(land).then(pending.resolve, pending.reject)
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

    async run(key, start, waiter = {}) {
      const { signal, untilOver = false } = waiter
      if (signal?.aborted) throw unwanted(signal.reason)
      const me = { ...waiter } // a caller may wait for the same work twice
      let flight = flights.get(key)
      if (flight) flight.waiters.add(me)
      else flight = begin(key, start, me)
      if (flight.lease) lease(key, flight, flight.lease.ms)
      changed()
      const joined = flight
      const left = Promise.withResolvers<never>()
      left.promise.catch(() => {}) // nobody races with it where the caller waits until the work is over
      const stopWaiting = () => {
        if (!joined.waiters.delete(me)) return
        cancelUnwanted(key, joined)
        changed()
      }
      const leave = () => {
        queueMicrotask(stopWaiting) // whoever comes in its place at once joins
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

/** As urgent as the most urgent caller finds it. */
function urgencyOf({ waiters, lease }: Flight<unknown>): Urgency {
  let highest: Urgency = lease ? urgencies.expected : urgencies.background
  for (const { urgency = () => urgencies.waiting } of waiters) {
    const one = urgency()
    if (one > highest) highest = one
  }
  return highest
}
