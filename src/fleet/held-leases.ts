import { NixeryError } from '../errors.ts'
import type { Lease, Leases } from './leases.ts'
import { persist } from './persist.ts'
import type { JobSignals } from './run-job.ts'

/** A job of this process that is running. */
export type Held = {
  /** Another one if this worker was too late to renew it, and has taken the job again. */
  lease: Lease
  readonly stop: AbortController
  readonly signals: JobSignals
  unwanted: number
  /** When the last renewal was sent that succeeded, in milliseconds of this process. */
  renewedAt: number
  /** Whether its end is being recorded, or it is left to another worker, so that it may no longer be renewed. */
  isEnding: boolean
}
/** The jobs of this process, by id. */
export type HeldLeases = Map<string, Held>

/** Reports a lost lease to the operator, and tells the next worker that the job did not crash this one. */
export function noteLoss({ lease, renewedAt }: Held, leases: Leases, warn: (line: string) => void): void {
  const seconds = (performance.now() - renewedAt) / 1000
  warn(`the lease of job ${lease.id} is lost, ${seconds.toFixed(1)} s after it was last renewed`)
  leases.survived(lease).catch(() => {}) // the job is given up a little earlier
}

async function isStillHeld(mine: Held, leases: Leases): Promise<boolean> {
  const { lease } = mine
  if (await persist(() => leases.holds(lease), mine.stop.signal)) return true
  // This worker may have taken the job again in the meantime.
  return mine.lease !== lease && isStillHeld(mine, leases)
}

/**
 * Checks that a build still belongs to this worker before its image is recorded.
 * @throws CANCELLED if another worker has taken it over
 */
export const createFence =
  (held: HeldLeases, leases: Leases, warn: (line: string) => void) =>
  async (build: string): Promise<void> => {
    const mine = held.get(build)
    if (mine && (await isStillHeld(mine, leases))) return
    if (mine && held.get(build) === mine) {
      held.delete(build)
      noteLoss(mine, leases, warn)
    }
    mine?.stop.abort()
    throw new NixeryError('CANCELLED', 'another worker has taken over this build')
  }
