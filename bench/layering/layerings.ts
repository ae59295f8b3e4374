import { noPopularity } from '../../src/closure/popularity.ts'
import { defaultMaxLayers, strategies } from '../../src/layers/strategies.ts'
import { onePathEach, popularAlone, sizeFirst } from './peers.ts'
import type { Layering } from './simulation.ts'

const options = { popularity: noPopularity, maxLayers: defaultMaxLayers }

/** The layerings to compare, with the default limit. The first is the floor. */
export const layerings = {
  'one layer per path': onePathEach,
  stable: (closure) => strategies.stable(closure, options).layers,
  nixery: (closure) => strategies.nixery(closure, options).layers,
  'size first': (closure) => sizeFirst(closure, defaultMaxLayers),
  'popular alone': (closure) => popularAlone(closure, defaultMaxLayers),
} satisfies Record<string, Layering>
