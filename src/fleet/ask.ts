import { NixeryError } from '../errors.ts'
import { unwanted } from '../queue/demand.ts'
import type { Job, Outcome } from './jobs.ts'
import type { JobTable } from './job-table.ts'
import type { Waiters } from './waiters.ts'

/**
 * Runs a job other than a build on a worker, or returns the stored outcome of an equal one.
 * @throws STORE_UNAVAILABLE, NIX_UNAVAILABLE without a worker, CANCELLED when the signal fires
 */
export type Ask = (job: Exclude<Job, { readonly kind: 'image' }>, signal?: AbortSignal) => Promise<Outcome>

// Milliseconds after which a job fails if no worker can take it.
const unservedLimit = 4_000
// How often a job is submitted if it ends without an outcome, for example because its worker stops.
const mostAttempts = 5

export const createAsk =
  (table: Pick<JobTable, 'submit'>, waiters: Pick<Waiters, 'wait'>): Ask =>
  async (job, signal) => {
    for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
      if (signal?.aborted) throw unwanted(signal.reason)
      const { id, outcome: kept } = await table.submit(job, 'waiting', { requestId: '' })
      if (kept) return kept
      const outcome = await outcomeOf(waiters.wait(id, 'waiting', unservedLimit), signal)
      if (!('abandoned' in outcome)) return outcome
    }
    throw abandonedTooOften()
  }

/** Waits for an outcome until a signal fires. @throws CANCELLED, and the errors of waiting */
export async function outcomeOf(
  waiting: ReturnType<Waiters['wait']>,
  signal: AbortSignal | undefined,
): Promise<Outcome> {
  const left = Promise.withResolvers<never>()
  left.promise.catch(() => {})
  const onAbort = () => left.reject(unwanted(signal?.reason))
  signal?.addEventListener('abort', onAbort)
  if (signal?.aborted) onAbort()
  try {
    return await Promise.race([waiting.outcome, left.promise])
  } finally {
    signal?.removeEventListener('abort', onAbort)
    waiting.leave()
  }
}

/** The error of work that several workers have started and abandoned. */
export const abandonedTooOften = () =>
  new NixeryError('NIX_UNAVAILABLE', 'the workers are stopping', { hint: 'try again in a moment' })
