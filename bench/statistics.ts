/** Summary statistics of several runs. */
export type Summary = {
  readonly runs: number
  readonly median: number
  readonly min: number
  readonly max: number
  /** Median absolute deviation: one slow run does not change it. */
  readonly mad: number
}

/** The median; for an even number of values, the mean of the middle two. Throws a RangeError if there are none. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError('no values')
  const sorted = values.toSorted((a, b) => a - b)
  const half = Math.floor(sorted.length / 2)
  const upper = sorted[half] as number
  return sorted.length % 2 === 1 ? upper : ((sorted[half - 1] as number) + upper) / 2
}

/** Summarises values. Throws a RangeError if there are none. */
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

/** The difference between two rounds of a measurement. */
export type Change = {
  /** The relative change of the median: 0.1 is 10 % more. */
  readonly part: number
  readonly outsideNoise: boolean
}

/** The standard error of the median, for a normal distribution. */
const errorOf = ({ mad, runs }: Summary): number => (1.2533 * 1.4826 * mad) / Math.sqrt(runs)
// Two rounds of the same program on an idle machine differ by up to this.
const leastChange = 0.05
// A single run does not show its noise.
const leastChangeOfOne = 0.15

/**
 * A change is outside noise if the medians differ by more than three standard errors of both together.
 * @param exact for counted values: any difference is a change
 */
export function compare(before: Summary, after: Summary, exact = false): Change {
  const distance = after.median - before.median
  const part = distance === 0 ? 0 : before.median === 0 ? Infinity : distance / before.median
  if (exact) return { part, outsideNoise: distance !== 0 }
  const noise = 3 * Math.hypot(errorOf(before), errorOf(after))
  const least = Math.min(before.runs, after.runs) < 3 ? leastChangeOfOne : leastChange
  return { part, outsideNoise: Math.abs(distance) > noise && Math.abs(part) > least }
}
