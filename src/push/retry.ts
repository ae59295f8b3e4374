import { setTimeout as sleep } from 'node:timers/promises'
import pRetry from 'p-retry'
import { RegistryError } from './errors.ts'

export type RetryOptions = {
  readonly signal: AbortSignal
  /** Is told of each failure that another try follows. */
  readonly onRetry: (message: string) => void
  /** Milliseconds before the second try; doubled with each. */
  readonly firstDelay: number
  /** Which of the failures that may pass are waited for; all unless it is given. */
  readonly worth?: (error: RegistryError) => boolean
}

const tries = 4
const longestDelay = 30_000

/** Tries again what may succeed a little later; waits as long as the registry asks, within reason. */
export async function retrying<T>(work: () => Promise<T>, options: RetryOptions): Promise<T> {
  const { signal, onRetry, firstDelay, worth = () => true } = options
  const isWorth = (error: Error): error is RegistryError =>
    error instanceof RegistryError && error.passing && worth(error)
  return pRetry(work, {
    retries: tries - 1,
    minTimeout: firstDelay,
    maxTimeout: longestDelay,
    randomize: true,
    signal,
    shouldRetry: ({ error }) => isWorth(error),
    async onFailedAttempt({ error, retriesLeft, retryDelay }) {
      if (!isWorth(error) || retriesLeft === 0) return
      onRetry(error.message)
      const asked = Math.min((error.retryAfter ?? 0) * 1000, longestDelay)
      if (asked > retryDelay) await sleep(asked - retryDelay, undefined, { signal })
    },
  })
}
