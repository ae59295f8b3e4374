import { setTimeout as delay } from 'node:timers/promises'
import { isConflict, isDisconnected } from './errors.ts'

// Of transactions that get in each other's way one is always done, so a few attempts are enough for many.
const mostConflicts = 8
// Milliseconds before the second attempt; it doubles from one to the next, up to the second number.
const [firstPause, longestPause] = [5, 200]

/**
 * Repeats work that failed because another transaction got in its way, after a random pause; and once work whose
 * connection was lost, as all of them are when the server restarts. So it must be one transaction or statements that
 * may be repeated.
 * @throws what the last attempt does
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
