import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible'

/** Counts what holders use in a window of time that begins with the first use. */
export type Counter = {
  /** Uses so much, if that much is left. @returns undefined if it is, otherwise the milliseconds to wait */
  take(key: string, amount?: number): Promise<number | undefined>
  /** What was used without asking. */
  add(key: string, amount: number): Promise<void>
  giveBack(key: string, amount: number): Promise<void>
  /** @returns the milliseconds to wait until something is left; undefined if something is */
  spent(key: string): Promise<number | undefined>
  left(key: string): Promise<number>
  readonly limit: number
  /** Of the window. */
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
          // The library counts what it refuses, so that who goes on asking would wait for longer.
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
