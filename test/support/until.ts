import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Waits until a condition holds. A test that waits for something gives it as long as a busy machine may take, and ends
 * as soon as it is there.
 * @param what what is waited for, for the message of a test that fails
 * @param seconds after which it fails
 */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what = 'what was waited for',
  seconds = 60,
): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (!(await holds())) {
    assert.ok(performance.now() < end, `not within ${seconds} s: ${what}`)
    await sleep(10)
  }
}
