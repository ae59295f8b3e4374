import pLimit from 'p-limit'
import { NixeryError } from '../errors.ts'

/** Runs work when there is room for it. @throws OVERLOADED when too much waits already */
export type Queue = <T>(work: () => Promise<T>) => Promise<T>

/**
 * A queue with bounds.
 * @param running how much work runs at once
 * @param waiting how much more may wait
 * @param what for the message: what there is too much of
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
      return Promise.reject(new NixeryError('OVERLOADED', `this registry is busy ${what}`, { hint }))
    }
    return limit(work)
  }
}
