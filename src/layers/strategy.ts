import type { Closure } from '../closure/graph.ts'
import type { Popularity } from '../closure/popularity.ts'
import type { StorePath } from '../image/store-path.ts'

/** Store paths of one layer, sorted; the last layer (rootfs) is not part of a plan. */
export type PlannedLayer = { readonly paths: readonly StorePath[] }

export type Plan = {
  /** Name and version of what made the plan, for cache keys; the version rises when its results change. */
  readonly strategy: string
  /** In manifest order; every path of the closure is in exactly one. */
  readonly layers: readonly PlannedLayer[]
}

export type PlanOptions = {
  readonly popularity: Popularity
  /** 1 or more, else a RangeError. */
  readonly maxLayers: number
}

/** Makes at most `maxLayers` layers of a closure; of an empty one, none. */
export type Strategy = (closure: Closure, options: PlanOptions) => Plan

/** Throws a RangeError for a budget that no plan can keep. */
export function checkBudget(maxLayers: number): void {
  if (Number.isSafeInteger(maxLayers) && maxLayers >= 1) return
  throw new RangeError(`maxLayers must be a positive integer, not ${maxLayers}`)
}
