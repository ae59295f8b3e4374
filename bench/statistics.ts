/** What is said of several runs of the same thing. Pure. */
export type Summary = {
  readonly runs: number
  readonly median: number
  readonly min: number
  readonly max: number
  /** Median of the distances from the median: what one slow run does not move. */
  readonly mad: number
}

/** The value in the middle, of an even number the mean of the two in the middle. A RangeError if there is none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values')
  const sorted = values.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  const upper = sorted[half] as number
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2
}

/** A RangeError if there are no values. */
export function summarise(values: readonly number[]): Summary {
  const middle = median(values)
  return {
    runs: values.length,
    median: middle,
    min: Math.min(...values),
    max: Math.max(...values),
    mad: median(values.map((value) => Math.abs(value - middle))),
  }
}

/** How two rounds of the same measurement differ. */
export type Change = {
  /** Of the median: 0.1 is a tenth more. */
  readonly part: number
  readonly outsideNoise: boolean
}

/** How far a median lies from that of endless runs: for a normal distribution, the standard error of the median. */
const errorOf = ({ mad, runs }: Summary): number => (1.2533 * 1.4826 * mad) / Math.sqrt(runs)
// Less than this is the machine's: two rounds of the same program on an idle one differ by so much.
const leastChange = 0.05
// One run tells nothing of its own noise.
const leastChangeOfOne = 0.15

/**
 * A change is outside noise when the medians are further apart than three standard errors of both together.
 * @param exact what is counted and not timed: any difference is a change
 */
export function compare(before: Summary, after: Summary, exact = false): Change {
  const distance = after.median - before.median
  const part = distance === 0 ? 0 : before.median === 0 ? Infinity : distance / before.median
  if (exact) return { part, outsideNoise: distance !== 0 }
  const noise = 3 * Math.hypot(errorOf(before), errorOf(after))
  const least = Math.min(before.runs, after.runs) < 3 ? leastChangeOfOne : leastChange
  return { part, outsideNoise: Math.abs(distance) > noise && Math.abs(part) > least }
}
