import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * Waits until a condition holds. The limit is generous for busy machines; a test continues as soon as the condition holds.
 * @param what describes the condition in the message of a failed test
 * @param seconds the time limit
 */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what = 'the condition holds',
  seconds = 60,
): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (!(await holds())) {
    assert.ok(performance.now() < end, `not within ${seconds} s: ${what}`)
    await sleep(10)
  }
}
