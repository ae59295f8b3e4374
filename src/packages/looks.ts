import { setTimeout as sleep } from 'node:timers/promises'

/** A look at something that may change, and when it began (ms, as `performance.now()` has it). */
export type Look<T> = { readonly value: T; readonly began: number }

/** Looks that are shared by all who want one: never two at a time, and none when nobody asks. */
export type Looks<T> = {
  /** The last one that succeeded since the last `forget`. */
  last(): Look<T> | undefined
  /** The one at work, or a new one. */
  join(): Promise<T>
  /** One that begins after this call: the same for all who ask before it does. */
  next(): Promise<T>
  forget(): void
}

/** Milliseconds that the looks after one another pause at most. */
const longestPause = 5_000

/**
 * Shares looks. Those of `next` begin after a pause of twice as long as the last one took, so that many who ask at
 * different times share them, and looking takes a third of a thread at most.
 */
export function createLooks<T>(look: () => Promise<T>): Looks<T> {
  let last: Look<T> | undefined
  let running: Promise<T> | undefined
  let following: Promise<T> | undefined
  let ended = -Infinity
  let took = 0

  const take = async (): Promise<T> => {
    const began = performance.now()
    try {
      const value = await look()
      last = { value, began }
      return value
    } finally {
      ended = performance.now()
      took = ended - began
      running = undefined
    }
  }
  const join = () => (running ??= take())

  const follow = async (): Promise<T> => {
    await running?.catch(() => {})
    const pause = Math.min(longestPause, ended + 2 * took - performance.now())
    if (pause > 1) await sleep(pause)
    // One that began meanwhile may have begun before the last of those who wait here asked.
    for (let other = running; other; other = running) await other.catch(() => {})
    following = undefined
    return join()
  }

  return {
    last: () => last,
    join,
    next: () => (following ??= follow()),
    forget() {
      last = undefined
    },
  }
}
