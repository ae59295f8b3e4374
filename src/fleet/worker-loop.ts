import { setTimeout as delay } from 'node:timers/promises'
import { hasCode } from '../errors.ts'
import type { Listener } from '../postgres/listener.ts'
import { createEventBuffer } from './event-buffer.ts'
import { handOn } from './hand-on.ts'
import type { JobKind } from './jobs.ts'
import { noteLoss, type Held, type HeldLeases } from './held-leases.ts'
import type { Lease, Leases } from './leases.ts'
import { persist } from './persist.ts'
import { runJob, type JobEnd, type RunDeps } from './run-job.ts'
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

/** The number of workers that may stop during one build before it is abandoned. */
const mostStopped = 3
/** The maximum number of concurrent jobs other than images, which are short. */
const mostShort = 16
// The maximum time in milliseconds that closing waits for the database.
const longestClosing = 3_000

const short: readonly JobKind[] = ['pin', 'ready', 'tags', 'recipes', 'revision']

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
      mine.isEnding = true
      const final = isMine && (await handOn({ ...deps, events }, mine.lease, ended, closing.signal))
      if (final) {
        const { outcome, keep, last } = final
        const isRecorded = await persist(() => leases.end(mine.lease, outcome, keep, last), closing.signal)
        if (!isRecorded && held.get(lease.id) === mine) noteLoss(mine, leases, warn)
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
    const late = held.get(lease.id)
    if (late && !late.stop.signal.aborted) {
      warn(`the lease of job ${lease.id} was renewed too late; this worker continues`)
      leases.survived(lease).catch(() => {}) // as when a lease is lost
      late.lease = lease
      late.renewedAt = performance.now()
      return
    }
    const stop = new AbortController()
    const mine: Held = {
      lease,
      stop,
      signals: { signal: stop.signal },
      unwanted: 0,
      renewedAt: performance.now(),
      isEnding: false,
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
    const mine = [...held.values()].map((each) => [each, each.lease] as const)
    const sentAt = performance.now()
    const renewed = mine.length > 0 ? await leases.renew(mine.map(([, lease]) => lease)) : new Map()
    for (const [each, lease] of mine) {
      if (each.lease !== lease) continue // it has been taken again
      const state = renewed.get(lease.id)
      if (!state && each.isEnding) continue // it may have ended just now
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
