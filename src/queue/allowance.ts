const hour = 3_600_000

/** A number of uses that comes back over time. */
export type Allowance = {
  /** Takes one use. @returns false if none is left */
  take(): boolean
}

/**
 * @param most the number of uses that are available at first, and after a long pause
 * @param perHour how many come back in an hour
 * @param now milliseconds
 */
export function createAllowance(most: number, perHour: number, now = () => performance.now()): Allowance {
  let left = most
  let at = now()
  return {
    take() {
      const time = now()
      left = Math.min(most, left + ((time - at) * perHour) / hour)
      at = time
      if (left < 1) return false
      left -= 1
      return true
    },
  }
}
