/** Which store paths share a layer. Pure: a plan depends on its inputs and on nothing else. */
import { nixeryVersion, planNixery } from './nixery.ts'
import { planStable, stableVersion } from './stable.ts'
import type { Strategy } from './strategy.ts'

/** The original's budget. With the rootfs 95, well below the 125 that Docker's overlay2 can stack. */
export const defaultMaxLayers = 94

/** By the name under which configuration chooses one. */
export const strategies = { stable: planStable, nixery: planNixery } satisfies Record<string, Strategy>

export type StrategyName = keyof typeof strategies

/** For keys: a plan is that of its strategy's version. */
export const strategyVersions: Readonly<Record<StrategyName, string>> = {
  stable: stableVersion,
  nixery: nixeryVersion,
}
