/** Periods in milliseconds. Those that end at a time in the database are measured only by the database. */
export const periods = {
  /** The polling interval for the queue and for awaited jobs; notifications are faster, if they arrive. */
  poll: 2_000,
  /** How long a job counts as wanted after each renewal, and how often that is renewed. */
  waiting: 12_000,
  renewWaiting: 4_000,
  /** How long an ended job is kept for its waiters, beyond the time for which equal jobs get its outcome. */
  linger: 120_000,
  /** How long the events of a build, and an answer about an image, are kept. */
  keep: 24 * 3_600_000,
  /** The interval between removals of old rows. */
  sweep: 30_000,
} as const
