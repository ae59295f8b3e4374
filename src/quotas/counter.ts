import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible'

/** Counts the usage of holders in a time window that begins with the first use. */
export type Counter = {
  /** Uses an amount if it is available. @returns undefined on success, otherwise the milliseconds to wait */
  take(key: string, amount?: number): Promise<number | undefined>
  /** Records usage without a check. */
  add(key: string, amount: number): Promise<void>
  giveBack(key: string, amount: number): Promise<void>
  /** @returns the milliseconds to wait until something is available; undefined if something is */
  spent(key: string): Promise<number | undefined>
  left(key: string): Promise<number>
  readonly limit: number
  /** The window in milliseconds. */
  readonly seconds: number
}

export function createCounter(limit: number, seconds: number): Counter {
  const limiter = new RateLimiterMemory({ points: limit, duration: seconds })
  return {
    limit,
    seconds,
    take: (key, amount = 1) =>
      limiter.consume(key, amount).then(
        () => undefined,
        async (full: unknown) => {
          if (!isResult(full)) throw full
          // The library also counts refused requests, which would extend the wait of clients that keep trying.
          await limiter.reward(key, amount)
          return full.msBeforeNext
        },
      ),
    add: async (key, amount) => void (await limiter.penalty(key, amount)),
    giveBack: async (key, amount) => void (await limiter.reward(key, amount)),
    async spent(key) {
      const found = await limiter.get(key)
      return found && found.msBeforeNext > 0 && found.remainingPoints === 0 ? found.msBeforeNext : undefined
    },
    async left(key) {
      const found = await limiter.get(key)
      return found && found.msBeforeNext > 0 ? found.remainingPoints : limit
    },
  }
}

const isResult = (value: unknown): value is RateLimiterRes =>
  value !== null && typeof value === 'object' && 'msBeforeNext' in value
