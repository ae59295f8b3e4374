/** Numbers that look random, the same for the same seed. */
export type Random = {
  /** From 0 up to and without 1. */
  real(): number
  /** A whole number from 0 up to and without `limit`. */
  below(limit: number): number
  chance(probability: number): boolean
  pick<T>(list: readonly [T, ...T[]]): T
  /** So many different ones. */
  some<T>(list: readonly T[], count: number): T[]
}

/** mulberry32: 32 bits of state, which is plenty for choosing when to kill. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0
  const real = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (limit: number) => Math.floor(real() * limit)
  return {
    real,
    below,
    chance: (probability) => real() < probability,
    pick: (list) => list[below(list.length)] ?? list[0],
    some(list, count) {
      const rest = [...list]
      return Array.from({ length: Math.min(count, rest.length) }, () =>
        rest.splice(below(rest.length), 1),
      ).flat()
    },
  }
}
