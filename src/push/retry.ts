import { setTimeout as sleep } from 'node:timers/promises'
import pRetry from 'p-retry'
import { RegistryError } from './errors.ts'

export type RetryOptions = {
  readonly signal: AbortSignal
  /** Called with the message of each failure before a retry. */
  readonly onRetry: (message: string) => void
  /** Milliseconds before the first retry; doubled for each further one. */
  readonly firstDelay: number
  /** Which transient failures to retry; all by default. */
  readonly worth?: (error: RegistryError) => boolean
}

const tries = 4
const longestDelay = 30_000

/** Retries work that failed transiently. Waits as long as the registry demands, up to a limit. */
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
      const requested = Math.min((error.retryAfter ?? 0) * 1000, longestDelay)
      if (requested > retryDelay) await sleep(requested - retryDelay, undefined, { signal })
    },
  })
}
