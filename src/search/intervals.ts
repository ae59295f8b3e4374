/** Milliseconds between checks of the revision, and before a failed making of an index is retried. */
export const [checkInterval, retryAfter] = [300_000, 900_000]

/** Milliseconds for downloading an index, or for storing one. */
export const longestTransfer = 600_000

/** The pace of a process that shares indexes, in milliseconds. */
export type Intervals = {
  /** Between checks for indexes that others have made; `wait` while a request waits for an index. */
  readonly look: number
  readonly wait: number
  /** Between checks of the revision. */
  readonly check: number
  /** Before a failed download or upload is repeated. */
  readonly again: number
}

export const usualIntervals: Intervals = { look: 5_000, wait: 1_000, check: checkInterval, again: 30_000 }
