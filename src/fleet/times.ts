/** Periods in milliseconds. Those that end at a time in the database are measured by the database alone. */
export const periods = {
  /** From one look at the queue, or at what is waited for, to the next; notifications are quicker, if they arrive. */
  poll: 2_000,
  /** How long a job counts as waited for after each renewal, and how often that is renewed. */
  waiting: 12_000,
  renewWaiting: 4_000,
  /** How long an ended job is kept for those who wait for it, beyond the time for which it is an answer to others. */
  linger: 120_000,
  /** How long the events of a build, and an answer about an image, are kept. */
  keep: 24 * 3_600_000,
  /** From one removal of old rows to the next. */
  sweep: 30_000,
} as const
