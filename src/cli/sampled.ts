/** The factors of units, in seconds. */
const units = { h: 3_600, d: 86_400, w: 7 * 86_400 } as const

/** Parses an interval such as `7d`, in seconds; undefined if it is not valid. */
export function parseInterval(text: string): number | undefined {
  if (text === '0') return 0
  const { count = '', unit = '' } = /^(?<count>\d{1,5})(?<unit>[hdw])$/.exec(text)?.groups ?? {}
  const seconds = Object.entries(units).find(([name]) => name === unit)?.[1]
  return seconds === undefined ? undefined : Number(count) * seconds
}

/**
 * Selects one of each interval, including the newest and the oldest.
 * @param commits newest first; `at` is in seconds
 */
export function sampled<T extends { readonly at: number }>(commits: readonly T[], every: number): T[] {
  const chosen: T[] = []
  for (const [index, commit] of commits.entries()) {
    const last = chosen.at(-1)
    if (!last || last.at - commit.at >= every || index === commits.length - 1) chosen.push(commit)
  }
  return chosen
}
