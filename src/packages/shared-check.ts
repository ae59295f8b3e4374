import { setTimeout as sleep } from 'node:timers/promises'

/** The result of checking something that may change, and when the check began (ms, `performance.now()`). */
export type CheckResult<T> = { readonly value: T; readonly began: number }

/** Checks that are shared by concurrent callers: at most one runs at a time, and only on demand. */
export type SharedCheck<T> = {
  /** The last check that succeeded since the last `forget`. */
  last(): CheckResult<T> | undefined
  /** Joins the running check, or starts one. */
  join(): Promise<T>
  /** Waits for a check that starts after this call. Calls before it starts share it. */
  next(): Promise<T>
  /**
   * Calls `check` in a moment, unless a check has started by then. For callers that do not wait: a check that uses all cores
   * would delay what they do next.
   */
  refresh(check: () => void): void
  forget(): void
}

/** Milliseconds before a check for which no caller waits. A response from memory takes a few. */
const refreshDelay = 100

/** The longest pause between two checks, in milliseconds. */
const longestPause = 5_000

/**
 * Shares checks between callers. A check of `next` starts after a pause of twice the duration of the previous one, so
 * that many callers share it and checking takes at most a third of a thread.
 */
export function createSharedCheck<T>(look: () => Promise<T>): SharedCheck<T> {
  let last: CheckResult<T> | undefined
  let running: Promise<T> | undefined
  let following: Promise<T> | undefined
  let ended = -Infinity
  let took = 0
  let refreshing: NodeJS.Timeout | undefined

  const take = async (): Promise<T> => {
    const began = performance.now()
    clearTimeout(refreshing)
    refreshing = undefined
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
    // A check that started during the pause may have started before the latest call of `next`.
    for (let other = running; other; other = running) await other.catch(() => {})
    following = undefined
    return join()
  }

  return {
    last: () => last,
    join,
    next: () => (following ??= follow()),
    refresh(check) {
      if (running || refreshing) return
      refreshing = setTimeout(() => {
        refreshing = undefined
        check()
      }, refreshDelay).unref()
    },
    forget() {
      last = undefined
    },
  }
}
