import { setTimeout as delay } from 'node:timers/promises'
import type { SetStatus, WorkerStatus } from '../builds/builds.ts'
import { errorOf } from '../builds/failure.ts'
import type { Ask } from './ask.ts'
import type { Job, Outcome } from './jobs.ts'
import { noneQueued, type JobCounts, type JobTable } from './job-table.ts'
import type { WorkerFacts, Workers } from './workers.ts'

/** The state of a fleet's workers, for a front end. */
export type FleetStatus = WorkerStatus & { close(): Promise<void> }

// Milliseconds between checks of the queue and the workers.
const every = 5_000

/** @param sets the names of the package sets, the default one first; undefined for a single one */
export function openFleetStatus(
  deps: {
    readonly ask: Ask
    readonly table: Pick<JobTable, 'counts'>
    readonly workers: Pick<Workers, 'list'>
  },
  sets: readonly (string | undefined)[],
): FleetStatus {
  const closing = new AbortController()
  let facts: readonly WorkerFacts[] = []
  let counts: JobCounts = { running: 0, queued: 0, queuedBy: noneQueued }
  const look = async () => {
    while (!closing.signal.aborted) {
      try {
        ;[facts, counts] = await Promise.all([deps.workers.list(), deps.table.counts()])
      } catch {
        // Keep the last numbers.
      }
      await delay(every, undefined, { signal: closing.signal }).catch(() => {})
    }
  }
  const looking = look()
  const described = (set: string | undefined): SetStatus => {
    const found = () => facts.flatMap(({ packages }) => packages).find((each) => each.set === set)
    return {
      set,
      get description() {
        return found()?.description ?? 'the package set of the workers'
      },
      get publicDescription() {
        return found()?.publicDescription
      },
    }
  }
  const answer = async (job: Exclude<Job, { kind: 'image' }>): Promise<Outcome> => {
    const outcome = await deps.ask(job)
    if ('failure' in outcome) throw errorOf(outcome.failure)
    return outcome
  }

  return {
    get nixVersion() {
      return facts[0]?.nixVersion ?? ''
    },
    packages: sets.map(described),
    async tags(request) {
      const outcome = await answer({ kind: 'tags', request })
      return ('tags' in outcome ? outcome.tags : undefined) ?? undefined
    },
    async revision(set) {
      const outcome = await answer({ kind: 'revision', set })
      return 'revision' in outcome ? outcome.revision : ''
    },
    async recipePackages(request, mayEvaluate) {
      const outcome = await answer({ kind: 'recipes', request, mayEvaluate })
      if (!('recipes' in outcome)) throw new Error('a job has an outcome of another kind')
      return new Map(Object.entries(outcome.recipes))
    },
    load: () => ({
      ...counts,
      evaluators: { processes: [], warm: 0, cold: 0, started: 0, restarted: 0 },
      revisions: [],
    }),
    async close() {
      closing.abort()
      await looking
    },
  }
}
