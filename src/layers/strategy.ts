import type { Closure } from '../closure/graph.ts'
import type { Popularity } from '../closure/popularity.ts'
import type { StorePath } from '../image/store-path.ts'

/** The store paths of one layer, sorted. The last layer (rootfs) is not part of a plan. */
export type PlannedLayer = { readonly paths: readonly StorePath[] }

export type Plan = {
  /** The strategy's name and version, for cache keys. */
  readonly strategy: string
  /** In manifest order. Every path of the closure is in exactly one layer. */
  readonly layers: readonly PlannedLayer[]
}

export type PlanOptions = {
  readonly popularity: Popularity
  /** At least 1, otherwise a RangeError is thrown. */
  readonly maxLayers: number
}

/** Divides a closure into at most `maxLayers` layers; an empty closure has none. */
export type Strategy = (closure: Closure, options: PlanOptions) => Plan

/** Throws a RangeError unless the budget is a positive integer. */
export function checkBudget(maxLayers: number): void {
  if (Number.isSafeInteger(maxLayers) && maxLayers >= 1) return
  throw new RangeError(`maxLayers must be a positive integer, not ${maxLayers}`)
}
