/** Pseudorandom numbers, determined by a seed. */
export type Random = {
  /** A number in [0, 1). */
  real(): number
  /** An integer in [0, limit). */
  below(limit: number): number
  chance(probability: number): boolean
  pick<T>(list: readonly [T, ...T[]]): T
  /** `count` different elements, or all if there are fewer. */
  some<T>(list: readonly T[], count: number): T[]
}

/** The mulberry32 generator, with 32 bits of state. */
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
