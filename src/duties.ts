import { createWarmer } from './builds/warmer.ts'
import { cleanupOf } from './cleanup.ts'
import type { Config } from './config.ts'
import { platformsBySet, vocabularyOf } from './config/set-config.ts'
import { parseImageReference } from './image/name.ts'
import { leadDuties, whileLeading } from './leader-tasks.ts'
import type { State } from './state.ts'
import type { Logger } from './telemetry/log.ts'
import type { Metrics } from './telemetry/metrics.ts'
import { createSweep } from './upkeep/sweep.ts'
import type { Worker } from './worker.ts'

// Seconds between checks of the package set, for images to keep ready.
const warmInterval = 300

type DutiesDeps = {
  readonly state: State
  readonly worker: Worker
  readonly builds: Parameters<typeof createWarmer>[0]['builds']
  /** Whether this process may make search indexes for all. */
  readonly mayMake: () => boolean
  readonly log: Logger
  readonly onCleanup: Metrics['onCleanup']
}

/** Periodically builds images ahead of demand, makes indexes for all processes, cleans up, and looks for popularity data. */
export function startDuties(config: Config, { state, worker, builds, mayMake, log, onCleanup }: DutiesDeps) {
  const vocabulary = vocabularyOf(config)
  return whileLeading(
    () => leadDuties(state),
    () => {
      const warmer = createWarmer({
        builds,
        sets: worker.sets,
        vocabulary,
        catalog: state.catalog,
        names: config.NIXERY_WARM.map((name) => parseImageReference(name, vocabulary)),
        top: config.NIXERY_WARM_TOP,
        platformsOf: platformsBySet(config),
        every: warmInterval,
        onUse: (digest) => state.uses.noteManifest(digest),
        warn: (line) => log.warn(line),
      })
      const cleanup = cleanupOf(config, state, log, onCleanup)
      const sweep = createSweep(state.catalog)
      const indexing = worker.search?.lead?.(mayMake)
      warmer.start()
      cleanup.start()
      sweep.start()
      const popularity = worker.pollPopularity()
      return {
        async stop() {
          popularity.stop()
          warmer.stop()
          indexing?.stop()
          await Promise.all([cleanup.stop(), sweep.stop()])
        },
      }
    },
  )
}
