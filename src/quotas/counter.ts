import { RateLimiterMemory, type RateLimiterRes } from 'rate-limiter-flexible'
import type { Holder } from './quota.ts'

type Counted = Pick<Holder, 'key' | 'id'>

/** Counts the usage of holders in a time window that begins with the first use. */
export type Counter = {
  /** Uses an amount if it is available. @returns undefined on success, otherwise the milliseconds to wait */
  take(holder: Counted, amount?: number): Promise<number | undefined>
  /** Records usage without a check. */
  add(holder: Counted, amount: number): Promise<void>
  /** Reverts usage, unless its window has ended. */
  giveBack(holder: Counted, amount: number): Promise<void>
  /** @returns the milliseconds to wait until something is available; undefined if something is */
  spent(holder: Counted): Promise<number | undefined>
  left(holder: Counted): Promise<number>
  readonly limit: number
  /** The length of the window. */
  readonly seconds: number
}

/** A counter in memory, whose state can be replaced. */
export type MemoryCounter = Counter & {
  /** @param secondsLeft until the window ends */
  set(holder: Counted, used: number, secondsLeft: number): Promise<void>
}

export function createCounter(limit: number, seconds: number): MemoryCounter {
  const limiter = new RateLimiterMemory({ points: limit, duration: seconds })
  return {
    limit,
    seconds,
    take: ({ key }, amount = 1) =>
      limiter.consume(key, amount).then(
        () => undefined,
        async (full: unknown) => {
          if (!isResult(full)) throw full
          // The library also counts refused requests, which would extend the wait of clients that keep trying.
          await limiter.reward(key, amount)
          return full.msBeforeNext
        },
      ),
    add: async ({ key }, amount) => void (await limiter.penalty(key, amount)),
    async giveBack({ key }, amount) {
      // Without a window, the library would start one with a negative usage.
      const found = await limiter.get(key)
      if (found && found.msBeforeNext > 0) await limiter.reward(key, Math.min(amount, found.consumedPoints))
    },
    // A duration of 0 would never end.
    set: async ({ key }, used, secondsLeft) =>
      void (await limiter.set(key, used, Math.max(secondsLeft, 0.001))),
    async spent({ key }) {
      const found = await limiter.get(key)
      return found && found.msBeforeNext > 0 && found.remainingPoints === 0 ? found.msBeforeNext : undefined
    },
    async left({ key }) {
      const found = await limiter.get(key)
      return found && found.msBeforeNext > 0 ? found.remainingPoints : limit
    },
  }
}

const isResult = (value: unknown): value is RateLimiterRes =>
  value !== null && typeof value === 'object' && 'msBeforeNext' in value
