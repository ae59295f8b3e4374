/** The steps from one text to another: inserting, deleting or replacing a letter, or swapping two neighbours. */
export type Steps = {
  readonly count: number
  /** The only step is a swap, the most common typing error. */
  readonly isSwap: boolean
}

/**
 * The minimum number of steps from one text to another, with at most one step per letter (the optimal string alignment
 * distance); undefined if it exceeds `most`. Takes time proportional to the length and `most`.
 */
export function stepsBetween(from: string, to: string, most: number): Steps | undefined {
  const difference = to.length - from.length
  if (Math.abs(difference) > most) return undefined
  let begin = 0
  while (begin < from.length && from[begin] === to[begin]) begin += 1
  let [end, toEnd] = [from.length, to.length]
  while (end > begin && toEnd > begin && from[end - 1] === to[toEnd - 1]) {
    end -= 1
    toEnd -= 1
  }
  const [a, b] = [from.slice(begin, end), to.slice(begin, toEnd)]
  if (a.length === 2 && b.length === 2 && a[0] === b[1] && a[1] === b[0])
    return most === 0 ? undefined : { count: 1, isSwap: true }
  const count = a.length === 0 || b.length === 0 ? a.length + b.length : alignment(a, b, most)
  return count <= most ? { count, isSwap: false } : undefined
}

/** The distance, or a number above `most`: only cells within `most` of the diagonal are computed. */
function alignment(a: string, b: string, most: number): number {
  const beyond = most + 1
  let before: number[] = []
  let previous = Array.from({ length: b.length + 1 }, (_, column) => Math.min(column, beyond))
  for (let row = 1; row <= a.length; row += 1) {
    const current = Array.from({ length: b.length + 1 }, () => beyond)
    if (row <= most) current[0] = row
    let least = current[0] ?? beyond
    const last = Math.min(b.length, row + most)
    for (let column = Math.max(1, row - most); column <= last; column += 1) {
      const same = a[row - 1] === b[column - 1]
      let cost = Math.min(
        (previous[column - 1] ?? beyond) + (same ? 0 : 1),
        (previous[column] ?? beyond) + 1,
        (current[column - 1] ?? beyond) + 1,
      )
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1])
        cost = Math.min(cost, (before[column - 2] ?? beyond) + 1)
      current[column] = Math.min(cost, beyond)
      least = Math.min(least, cost)
    }
    // A swap reaches two rows back.
    if (least > most && previous.every((cost) => cost > most)) return beyond
    ;[before, previous] = [previous, current]
  }
  return previous[b.length] ?? beyond
}
