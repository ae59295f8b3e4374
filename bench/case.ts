import type { Context } from './context.ts'

/** What a number counts. Times are milliseconds; sizes bytes; rates per second. */
export type Unit = 'ms' | 'requests/s' | 'bytes' | 'bytes/s' | 'count' | 'ratio'

/** What the same machine does with the same bytes, or requests, without this program; of the row's unit. */
export type Floor = { readonly name: string; readonly values: readonly number[] }

/**
 * What a row is to reach: its median, its median divided by the first floor's, or that it is not worse than the
 * first floor beyond noise.
 */
export type Target =
  | { readonly of: 'median' | 'times the floor'; readonly limit: Limit }
  | { readonly of: 'noise of the floor' }
export type Limit = { readonly atMost: number } | { readonly atLeast: number }

/** One thing that was measured. */
export type Row = {
  readonly name: string
  readonly unit: Unit
  /** One for each run, in order. */
  readonly values: readonly number[]
  readonly floors?: readonly Floor[]
  readonly target?: Target
  /** Counted and not timed: the same in every run of the same program. */
  readonly exact?: boolean
  readonly note?: string
}

/** One question that the benchmark answers. */
export type Case = {
  /** For `--only`. */
  readonly name: string
  /** What is measured and what is not, in a sentence or two. */
  readonly what: string
  run(context: Context): Promise<readonly Row[]>
}

/** The row's median is to be at most, or at least, so much. */
export const atMost = (limit: number): Target => ({ of: 'median', limit: { atMost: limit } })
export const atLeast = (limit: number): Target => ({ of: 'median', limit: { atLeast: limit } })
/** … so many times the first floor's. */
export const atMostTimes = (limit: number): Target => ({ of: 'times the floor', limit: { atMost: limit } })
export const atLeastTimes = (limit: number): Target => ({ of: 'times the floor', limit: { atLeast: limit } })
/** No worse than the first floor, but for noise. */
export const asFloor: Target = { of: 'noise of the floor' }
