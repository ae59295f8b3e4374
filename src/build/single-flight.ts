import { NixeryError } from '../errors.ts'

/** Work that is under way, by key: whoever asks for the same meanwhile waits for the same. */
export type Flights<T> = {
  /**
   * Waits for the work under `key`, and starts it if nobody has. When the caller's signal fires, only this
   * caller stops waiting (CANCELLED); when the last one has, the work's own signal fires, and who asks later
   * starts anew.
   */
  run(key: string, start: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>
  readonly size: number
}

type Flight<T> = { readonly result: Promise<T>; readonly abort: AbortController; waiting: number }

export function createFlights<T>(): Flights<T> {
  const flights = new Map<string, Flight<T>>()

  const begin = (key: string, start: (signal: AbortSignal) => Promise<T>): Flight<T> => {
    const abort = new AbortController()
    const land = () => {
      if (flights.get(key) === flight) flights.delete(key)
    }
    const result = start(abort.signal).finally(land)
    result.catch(() => {}) // each waiter is told; with none left, nobody needs to be
    const flight: Flight<T> = { result, abort, waiting: 0 }
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
        if (flight.waiting === 0 && flights.get(key) === flight) {
          flights.delete(key)
          flight.abort.abort()
        }
      }
    },
  }
}

const cancelled = () => new NixeryError('CANCELLED', 'the client went away')
