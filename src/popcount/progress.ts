import type { Tally } from './count.ts'

/** The progress of reading narinfos. */
export type ReadingProgress = {
  readonly done: number
  readonly total: number
  /** How many of the processed narinfos could not be read. */
  readonly unread: number
  /** Narinfos per second, over the last seconds. */
  readonly rate: number
}

/** Milliseconds. The rate covers this period only: narinfos from disk at the start say nothing about the network. */
const rateWindow = 15_000
const sampleInterval = 200

/**
 * Computes progress and rate from the tally after each narinfo.
 * @param now a monotonic time in milliseconds
 */
export function createRateMeter(
  now: () => number = () => performance.now(),
): (tally: Readonly<Tally>, total: number) => ReadingProgress {
  const samples = [{ at: now(), done: 0 }]
  return (tally, total) => {
    const at = now()
    const done = Object.values(tally).reduce((sum, count) => sum + count, 0)
    // Limits the number of samples at thousands of narinfos per second.
    if (at - (samples.at(-1)?.at ?? 0) >= sampleInterval) samples.push({ at, done })
    while (samples.length > 2 && at - (samples[0]?.at ?? 0) > rateWindow) samples.shift()
    const { at: from, done: before } = samples[0] ?? { at, done }
    const rate = at > from ? ((done - before) * 1000) / (at - from) : 0
    return { done, total, unread: done - tally.kept - tally.fetched, rate }
  }
}

/** Progress for people: `50 of 200 narinfos (25%), 3/s, 1m 00s left, 3 not read`. */
export function readingText({ done, total, rate, unread }: ReadingProgress): string {
  const percent = Math.floor((100 * done) / Math.max(total, 1))
  const left = rate > 0 ? `, ${durationText((total - done) / rate)} left` : ''
  const lost = unread > 0 ? `, ${unread} not read` : ''
  return `${done} of ${total} narinfos (${percent}%), ${Math.round(rate)}/s${left}${lost}`
}

/** Seconds for people: `42s`, `3m 07s`, `2h 05m`. */
export function durationText(seconds: number): string {
  const whole = Math.round(seconds)
  const two = (value: number) => String(value).padStart(2, '0')
  if (whole < 60) return `${whole}s`
  if (whole < 3600) return `${Math.floor(whole / 60)}m ${two(whole % 60)}s`
  return `${Math.floor(whole / 3600)}h ${two(Math.floor((whole % 3600) / 60))}m`
}
