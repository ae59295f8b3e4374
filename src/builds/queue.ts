import { NixeryError } from '../errors.ts'
import { urgencies, type Demand } from '../queue/demand.ts'

/**
 * The builds that wait for Nix or for packing. Builds for which Nix is realising packages are not counted, as their
 * number has a limit of its own; so all builds together never exceed `most` plus that limit.
 */
export type BuildQueue = {
  /** A build's place in the queue. The build takes it when it first needs one: what is known needs none. */
  place(demand: Demand): Place
  /** Builds that wait. */
  readonly size: number
}

export type Place = {
  /** Takes the place. @throws OVERLOADED when the queue is full, unless the build is in the background */
  readonly enter: () => void
  /** Nix has begun to realise. */
  readonly begin: () => void
  /** The build is over, or was cancelled. */
  readonly leave: () => void
}

/** @param most builds that may wait */
export function createBuildQueue(most: number): BuildQueue {
  let size = 0
  return {
    get size() {
      return size
    },
    place(demand) {
      let state: 'outside' | 'waiting' | 'realising' | 'left' = 'outside'
      return {
        enter() {
          if (state === 'waiting' || state === 'left') return
          // Background builds come one at a time, so that they need no limit.
          if (state === 'outside' && size >= most && demand.urgency() > urgencies.background)
            throw queueFull(most)
          state = 'waiting'
          size += 1
        },
        begin() {
          if (state !== 'waiting') return
          state = 'realising'
          size -= 1
        },
        leave() {
          if (state === 'waiting') size -= 1
          state = 'left'
        },
      }
    },
  }
}

const queueFull = (most: number) =>
  new NixeryError('OVERLOADED', `the registry is busy: ${most} images are waiting to be built`, {
    hint: 'try again in a few seconds',
  })
