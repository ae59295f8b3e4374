import type { Context } from './context.ts'

/** The unit of a value: milliseconds for times, bytes for sizes. */
export type Unit = 'ms' | 'requests/s' | 'bytes' | 'bytes/s' | 'count' | 'ratio'

/** A reference: what this machine reaches with the same bytes or requests without this program. In the row's unit. */
export type Floor = { readonly name: string; readonly values: readonly number[] }

/**
 * The target of a row: for its median, for its median divided by that of the first floor, or "no worse than the first
 * floor, apart from noise".
 */
export type Target =
  | { readonly of: 'median' | 'times the floor'; readonly limit: Limit }
  | { readonly of: 'noise of the floor' }
export type Limit = { readonly atMost: number } | { readonly atLeast: number }

/** A measured quantity. */
export type Row = {
  readonly name: string
  readonly unit: Unit
  /** One value per run, in order. */
  readonly values: readonly number[]
  readonly floors?: readonly Floor[]
  readonly target?: Target
  /** Counted, not timed: equal in all runs of the same program. */
  readonly exact?: boolean
  readonly note?: string
}

/** One case of the benchmark. */
export type Case = {
  /** The name for `--only`. */
  readonly name: string
  /** What is measured and what is not, in a sentence or two. */
  readonly what: string
  run(context: Context): Promise<readonly Row[]>
}

/** Targets for the median of a row. */
export const atMost = (limit: number): Target => ({ of: 'median', limit: { atMost: limit } })
export const atLeast = (limit: number): Target => ({ of: 'median', limit: { atLeast: limit } })
/** Targets relative to the median of the first floor. */
export const atMostTimes = (limit: number): Target => ({ of: 'times the floor', limit: { atMost: limit } })
export const atLeastTimes = (limit: number): Target => ({ of: 'times the floor', limit: { atLeast: limit } })
/** No worse than the first floor, apart from noise. */
export const asFloor: Target = { of: 'noise of the floor' }
