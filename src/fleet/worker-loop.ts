import { setTimeout as delay } from 'node:timers/promises'
import { hasCode, NixeryError } from '../errors.ts'
import type { Listener } from '../postgres/listener.ts'
import { createEventBuffer } from './event-buffer.ts'
import { handOn } from './hand-on.ts'
import type { JobKind } from './jobs.ts'
import type { Lease, Leases } from './leases.ts'
import { persist } from './persist.ts'
import { runJob, type JobEnd, type RunDeps, type JobSignals } from './run-job.ts'
import { periods } from './times.ts'
import type { LocalBuilds } from '../builds/local-builds.ts'

export type LoopDeps = Omit<RunDeps, 'events' | 'builds'> & {
  readonly builds: RunDeps['builds'] & Pick<LocalBuilds, 'isCommitted'>
  readonly leases: Leases
  readonly held: HeldLeases
  readonly listener: Pick<Listener, 'listen'>
  /** Systems that this worker builds for, and system features that it has. */
  readonly abilities: readonly string[]
  /** How long a lease lasts, in milliseconds; it is renewed every third of that. */
  readonly lease: number
  /** The maximum number of concurrent builds. */
  readonly most: number
  /** Whether it may take jobs now; running ones are finished in any case. */
  readonly mayTake: () => boolean
  /** Reports that this worker is running, or has stopped. */
  readonly presence: { here(): Promise<void>; gone(): Promise<void> }
  /** Removes old rows; called from time to time. */
  readonly sweep: () => Promise<void>
  readonly warn: (line: string) => void
}

/** The loop in which a worker takes jobs. */
export type WorkerLoop = {
  /** Takes no more jobs, and releases those in progress. */
  close(): Promise<void>
}

type Held = {
  readonly lease: Lease
  readonly stop: AbortController
  readonly signals: JobSignals
  unwanted: number
  /** When the last renewal was sent that succeeded, in milliseconds of this process. */
  renewedAt: number
}
/** The jobs of this process, by id. */
export type HeldLeases = Map<string, Held>

/** The number of workers that may stop during one build before it is abandoned. */
const mostStopped = 3
/** The maximum number of concurrent jobs other than images, which are short. */
const mostShort = 16
// The maximum time in milliseconds that closing waits for the database.
const longestClosing = 3_000

const short: readonly JobKind[] = ['pin', 'ready', 'tags', 'recipes', 'revision']

/** Reports a lost lease to the operator, and tells the next worker that the job did not crash this one. */
function noteLoss({ lease, renewedAt }: Held, leases: Leases, warn: (line: string) => void): void {
  const seconds = (performance.now() - renewedAt) / 1000
  warn(`the lease of job ${lease.id} is lost, ${seconds.toFixed(1)} s after it was last renewed`)
  leases.survived(lease).catch(() => {}) // the job is given up a little earlier
}

/**
 * Checks that a build still belongs to this worker before its image is recorded.
 * @throws CANCELLED if another worker has taken it over
 */
export const createFence =
  (held: HeldLeases, leases: Leases, warn: (line: string) => void) =>
  async (build: string): Promise<void> => {
    const mine = held.get(build)
    const isMine = mine && (await persist(() => leases.holds(mine.lease), mine.stop.signal))
    if (isMine) return
    if (mine && held.get(build) === mine) {
      held.delete(build)
      noteLoss(mine, leases, warn)
    }
    mine?.stop.abort()
    throw new NixeryError('CANCELLED', 'another worker has taken over this build')
  }

export function startLoop(deps: LoopDeps): WorkerLoop {
  const { leases, held, builds, warn, listener } = deps
  const events = createEventBuffer(leases)
  const closing = new AbortController()
  const running = new Set<Promise<void>>()
  let wake = Promise.withResolvers<void>()
  const wakeUp = () => wake.resolve()

  const work = async (mine: Held): Promise<void> => {
    const { lease, stop, signals } = mine
    try {
      const ended: JobEnd =
        lease.stopped >= mostStopped ? givenUp(lease) : await runJob({ ...deps, events }, lease, signals)
      await events.flush()
      // A job with a lost or released lease belongs to another worker.
      const isMine = held.get(lease.id) === mine
      const final = isMine && (await handOn({ ...deps, events }, lease, ended, closing.signal))
      if (final) {
        const { outcome, keep, last } = final
        await persist(() => leases.end(lease, outcome, keep, last), closing.signal)
      }
    } catch (error) {
      warn(`cannot record the end of job ${lease.id}: ${String(error)}`)
    } finally {
      stop.abort()
      if (held.get(lease.id) === mine) held.delete(lease.id)
      wakeUp()
    }
  }
  const begin = (lease: Lease) => {
    const stop = new AbortController()
    const mine: Held = {
      lease,
      stop,
      signals: { signal: stop.signal },
      unwanted: 0,
      renewedAt: performance.now(),
    }
    held.set(lease.id, mine)
    const done = work(mine).finally(() => running.delete(done))
    running.add(done)
  }
  const freeKinds = (): JobKind[] => {
    const images = [...held.values()].filter(({ lease }) => lease.job.kind === 'image').length
    return [
      ...(images < deps.most ? (['image'] as const) : []),
      ...(held.size - images < mostShort ? short : []),
    ]
  }

  const takeAll = async () => {
    for (;;) {
      const kinds = freeKinds()
      if (closing.signal.aborted || kinds.length === 0 || !deps.mayTake()) return
      const lease = await leases.claim(kinds, deps.abilities)
      if (!lease) return
      // It was taken while this worker was stopping.
      if (closing.signal.aborted) return leases.giveBack([lease])
      begin(lease)
    }
  }
  let isFailing = false
  const guarded = async (what: () => Promise<void>) => {
    try {
      await what()
      isFailing = false
    } catch (error) {
      if (!isFailing)
        warn(
          `this worker cannot reach the database: ${error instanceof Error ? error.message : String(error)}`,
        )
      isFailing = hasCode(error, 'STORE_UNAVAILABLE')
    }
  }
  const take = async () => {
    while (!closing.signal.aborted) {
      wake = Promise.withResolvers()
      await guarded(takeAll)
      const poll = delay(periods.poll, undefined, { signal: closing.signal }).catch(() => {})
      await Promise.race([wake.promise, poll])
    }
  }
  // Front ends must not wait for a worker that takes no jobs.
  const here = () => (deps.mayTake() ? deps.presence.here() : deps.presence.gone())
  const renew = async () => {
    const mine = [...held.values()]
    const sentAt = performance.now()
    const renewed = mine.length > 0 ? await leases.renew(mine.map(({ lease }) => lease)) : new Map()
    for (const each of mine) {
      const state = renewed.get(each.lease.id)
      if (!state) {
        if (held.get(each.lease.id) === each) {
          held.delete(each.lease.id)
          noteLoss(each, leases, warn)
        }
        each.stop.abort()
        continue
      }
      each.renewedAt = sentAt
      if (state.wanted) {
        each.unwanted = 0
        if (state.waiting && each.lease.background) each.signals.onUrgent?.()
      } else {
        // Twice: after a restart of the database, front ends need a moment to renew their demand.
        each.unwanted += 1
        if (each.unwanted >= 2 && !builds.isCommitted(each.lease.id)) each.stop.abort()
      }
    }
    await here()
  }
  const repeat = async (every: number, what: () => Promise<void>) => {
    while (!closing.signal.aborted) {
      await delay(every, undefined, { signal: closing.signal }).catch(() => {})
      if (!closing.signal.aborted) await guarded(what)
    }
  }
  const endListening = listener.listen('nixery_jobs', { notified: wakeUp, missed: wakeUp })
  const loops = [guarded(here).then(take), repeat(deps.lease / 3, renew), repeat(periods.sweep, deps.sweep)]

  const close = async () => {
    closing.abort()
    endListening()
    const mine = [...held.values()]
    held.clear()
    const giveBack = async () => {
      await leases.giveBack(mine.map(({ lease }) => lease))
      await deps.presence.gone()
    }
    const late = new AbortController()
    await Promise.race([
      giveBack().catch((error: unknown) => warn(`cannot release leases: ${String(error)}`)),
      delay(longestClosing, undefined, { signal: late.signal }).catch(() => {}),
    ])
    late.abort()
    for (const { stop } of mine) stop.abort()
    // Jobs that do not end soon no longer write anything.
    const patience = new AbortController()
    const longest = delay(longestClosing, undefined, { signal: patience.signal }).catch(() => {})
    await Promise.race([Promise.all([...loops, ...running]), longest])
    patience.abort()
    await events.close()
  }
  let closed: Promise<void> | undefined
  return { close: () => (closed ??= close()) }
}

const givenUp = ({ stopped, job }: Lease): JobEnd => {
  const failure = {
    code: 'BUILD_FAILED',
    message: `the build was abandoned: ${stopped} workers stopped while they worked on it`,
    hint: 'it may need more memory than they have',
  } as const
  const last = job.kind === 'image' ? { last: { type: 'failed', failure, ms: 0 } as const } : {}
  return { outcome: { failure }, keep: { usual: 60_000, expected: 120_000 }, ...last }
}
