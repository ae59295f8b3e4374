import { NixeryError } from '../errors.ts'
import { urgencies, type Demand, type Urgency } from '../queue/demand.ts'

/**
 * The builds that wait for Nix or packing. Builds for which Nix is realising packages are not counted, because they have their
 * own limit; so the number of all builds never exceeds `limit` plus that limit. Builds that read binary caches are
 * counted until they end: downloading and packing overlap, and can be cancelled.
 */
export type BuildQueue = {
  /** A build's place in the queue. A build takes it only when it has to wait; known images never need one. */
  place(demand: Demand): Place
  /** The number of waiting builds. */
  readonly size: number
  /** The number of waiting builds by current urgency. */
  byUrgency(): QueuedBy
}

/** Numbers of builds by urgency; see `queue/demand.ts`. */
export type QueuedBy = Readonly<Record<keyof typeof urgencies, number>>

export type Place = {
  /** Takes the place. @throws OVERLOADED when the queue is full, unless it is a background build */
  readonly enter: () => void
  /** Nix has started to realise. */
  readonly begin: () => void
  /** The build has ended or was cancelled. */
  readonly leave: () => void
}

/** @param limit the number of builds that may wait */
export function createBuildQueue(limit: number): BuildQueue {
  const waiting = new Set<Demand>()
  return {
    get size() {
      return waiting.size
    },
    byUrgency() {
      const counts = { background: 0, expected: 0, waiting: 0 }
      for (const demand of waiting) counts[nameOf(demand.urgency())] += 1
      return counts
    },
    place(demand) {
      let state: 'outside' | 'waiting' | 'realising' | 'left' = 'outside'
      return {
        enter() {
          if (state === 'waiting' || state === 'left') return
          // Background builds come one at a time, so they need no limit.
          if (state === 'outside' && waiting.size >= limit && demand.urgency() > urgencies.background)
            throw queueFull(limit)
          state = 'waiting'
          waiting.add(demand)
        },
        begin() {
          if (state !== 'waiting') return
          state = 'realising'
          waiting.delete(demand)
        },
        leave() {
          waiting.delete(demand)
          state = 'left'
        },
      }
    },
  }
}

const nameOf = (urgency: Urgency): keyof QueuedBy => {
  if (urgency === urgencies.background) return 'background'
  return urgency === urgencies.expected ? 'expected' : 'waiting'
}

const queueFull = (limit: number) =>
  new NixeryError('OVERLOADED', `the registry is busy: ${limit} images are waiting to be built`, {
    hint: 'try again in a few seconds',
  })
