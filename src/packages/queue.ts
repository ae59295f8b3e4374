import pLimit from 'p-limit'
import { NixeryError } from '../errors.ts'

/** Runs work when there is capacity. @throws OVERLOADED if the queue is full */
export type Queue = <T>(work: () => Promise<T>) => Promise<T>

/**
 * A bounded queue.
 * @param running the maximum number of concurrent tasks
 * @param waiting the maximum number of waiting tasks
 * @param what what the tasks do, for the error message: `fetching packages`
 */
export function createQueue({
  running,
  waiting,
  what,
}: {
  running: number
  waiting: number
  what: string
}): Queue {
  const limit = pLimit(running)
  return (work) => {
    if (limit.activeCount >= running && limit.pendingCount >= waiting) {
      const hint = 'try again in a moment'
      return Promise.reject(new NixeryError('OVERLOADED', `this registry is too busy ${what}`, { hint }))
    }
    return limit(work)
  }
}
