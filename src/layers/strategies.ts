/** Strategies that decide which store paths share a layer. They are pure functions. */
import { nixeryVersion, planNixery } from './nixery.ts'
import { planStable, stableVersion } from './stable.ts'
import type { Strategy } from './strategy.ts'

/** The original's budget. With the rootfs an image has 95 layers, well below the 125 that Docker's overlay2 can stack. */
export const defaultMaxLayers = 94

/** All strategies, by the name in the configuration. */
export const strategies = { stable: planStable, nixery: planNixery } satisfies Record<string, Strategy>

export type StrategyName = keyof typeof strategies

/** The version of each strategy, for keys. */
export const strategyVersions: Readonly<Record<StrategyName, string>> = {
  stable: stableVersion,
  nixery: nixeryVersion,
}
