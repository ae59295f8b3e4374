import { NixeryError } from '../errors.ts'

/** Work that is under way, by key: whoever asks for the same meanwhile waits for the same. */
export type Flights<T> = {
  /**
   * Waits for the work under `key`, and starts it if nobody has. When the caller's signal fires, only this
   * caller stops waiting (CANCELLED); when the last one has, the work's own signal fires unless it is committed, and who asks later
   * starts anew.
   */
  run(key: string, start: Start<T>, signal?: AbortSignal): Promise<T>
  readonly size: number
}

/** Begins the work. Once it calls `commit` it goes on whoever leaves, and who asks later joins it. */
export type Start<T> = (signal: AbortSignal, commit: () => void) => Promise<T>

type Flight<T> = {
  readonly result: Promise<T>
  readonly abort: AbortController
  waiting: number
  committed: boolean
}

export function createFlights<T>(): Flights<T> {
  const flights = new Map<string, Flight<T>>()

  const begin = (key: string, start: Start<T>): Flight<T> => {
    const abort = new AbortController()
    let committed = false
    const commit = () => {
      committed = true
    }
    const land = () => {
      if (flights.get(key) === flight) flights.delete(key)
    }
    const result = start(abort.signal, commit).finally(land)
    result.catch(() => {}) // each waiter is told; with none left, nobody needs to be
    const flight: Flight<T> = {
      result,
      abort,
      waiting: 0,
      get committed() {
        return committed
      },
    }
    flights.set(key, flight)
    return flight
  }

  return {
    get size() {
      return flights.size
    },
    async run(key, start, signal) {
      if (signal?.aborted) throw cancelled()
      const flight = flights.get(key) ?? begin(key, start)
      flight.waiting += 1
      const left = Promise.withResolvers<never>()
      const leave = () => left.reject(cancelled())
      signal?.addEventListener('abort', leave)
      try {
        return await Promise.race([flight.result, left.promise])
      } finally {
        signal?.removeEventListener('abort', leave)
        flight.waiting -= 1
        if (flight.waiting === 0 && !flight.committed && flights.get(key) === flight) {
          flights.delete(key)
          flight.abort.abort()
        }
      }
    },
  }
}

const cancelled = () => new NixeryError('CANCELLED', 'the client went away')
