import { setTimeout as delay } from 'node:timers/promises'
import { isConflict, isDisconnected } from './errors.ts'

// Of several conflicting transactions one always succeeds, so a few attempts are enough for many.
const mostConflicts = 8
// Milliseconds before the second attempt: doubled from one attempt to the next, up to the second value.
const [firstPause, longestPause] = [5, 200]

/**
 * Retries work that failed because of a conflicting transaction, after a random pause; and once if the connection was
 * lost, as after a restart of the server. So the work must be one transaction, or statements that may be repeated.
 * @throws what the last attempt throws
 */
export async function retrying<T>(work: () => Promise<T>): Promise<T> {
  let conflicts = 0
  let reconnected = false
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (isConflict(error) && conflicts < mostConflicts) {
        conflicts += 1
        await delay(Math.random() * Math.min(firstPause * 2 ** conflicts, longestPause))
      } else if (isDisconnected(error) && !reconnected) reconnected = true
      else throw error
    }
  }
}
