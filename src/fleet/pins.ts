import { setTimeout as delay } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { errorOf } from '../builds/failure.ts'
import { createFlights } from '../builds/single-flight.ts'
import { hasCode } from '../errors.ts'
import type { ImageRequest } from '../image/name.ts'
import type { Ask } from './ask.ts'
import { keyOfJob, type Job } from './jobs.ts'
import type { JobTable } from './job-table.ts'

/** The revision of a tag, and when a worker determined it: seconds since 1970. */
export type Pin = { readonly world: string; readonly at: number }

/** The revisions of tags, as determined by workers. */
export type Pins = {
  /** The revision of a tag a few seconds ago, or half a minute if `old`, if that is known without a request. */
  current(request: ImageRequest, options?: { readonly old?: boolean }): Pin | undefined
  /**
   * The revision of a tag, now or a few seconds ago. While no worker or database responds, the last known answer is
   * used.
   * @param options.old accepts an answer that is half a minute old, and refreshes it; and an older one if no worker
   * responds soon
   * @throws what pinning throws on a worker; STORE_UNAVAILABLE, NIX_UNAVAILABLE, CANCELLED
   */
  pin(request: ImageRequest, options: { readonly old: boolean; readonly signal?: AbortSignal }): Promise<Pin>
  /** Records a worker's report that the tag means another revision. */
  moved(request: ImageRequest, pin: Pin): void
}

// Milliseconds for which an answer is used: without a refresh, during a refresh, and if no new one is available.
const fresh = 5_000
const stale = 30_000
const lasting = 24 * 3_600_000
// Milliseconds to wait for a new answer if there is an old one.
const patience = 2_000

type Known = Pin & { readonly since: number }

export function createPins(ask: Ask, table: Pick<JobTable, 'lastAnswer'>): Pins {
  const known = new LRUCache<string, Known>({ max: 10_000, ttl: lasting, ttlResolution: 1000 })
  const flights = createFlights<Pin>()
  const keys = new WeakMap<ImageRequest, string>()
  const keyOf = (request: ImageRequest): string => {
    const key = keys.get(request) ?? keyOfJob({ kind: 'pin', request })
    keys.set(request, key)
    return key
  }
  const note = (key: string, pin: Pin): Pin => {
    known.set(key, { ...pin, since: performance.now() })
    return pin
  }
  const last = async (job: Job): Promise<Pin | undefined> => {
    const outcome = await table.lastAnswer(job).catch(() => undefined)
    return outcome && 'world' in outcome ? outcome : undefined
  }
  const askAgain = (key: string, request: ImageRequest, signal?: AbortSignal): Promise<Pin> =>
    flights.run(
      key,
      async (demand) => {
        const job = { kind: 'pin', request } as const
        try {
          const outcome = await ask(job, demand.signal)
          if ('failure' in outcome) throw errorOf(outcome.failure)
          if ('world' in outcome) return note(key, outcome)
        } catch (error) {
          if (!hasCode(error, 'STORE_UNAVAILABLE', 'NIX_UNAVAILABLE')) throw error
          const before = known.get(key) ?? (await last(job))
          if (!before) throw error
          return note(key, before)
        }
        throw new Error('a pin has an outcome of another kind')
      },
      { signal },
    )

  /** A new answer, or the last one if that takes too long, because a worker may have died. */
  const answerOrLast = async (key: string, request: ImageRequest, signal?: AbortSignal): Promise<Pin> => {
    const pending = askAgain(key, request, signal)
    pending.catch(() => {}) // thrown below unless there is an older one
    const over = new AbortController()
    const late = delay(patience, undefined, { signal: over.signal }).catch(() => undefined)
    const soon = await Promise.race([pending, late]).finally(() => over.abort())
    if (soon) return soon
    const before = known.get(key) ?? (await last({ kind: 'pin', request }))
    if (!before) return pending
    // Kept for an outage of the database, but not as a new answer.
    if (!known.has(key)) known.set(key, { ...before, since: -Infinity })
    return before
  }

  return {
    current(request, { old = false } = {}) {
      const pin = known.get(keyOf(request))
      return pin && performance.now() - pin.since <= (old ? stale : fresh) ? pin : undefined
    },
    async pin(request, { old, signal }) {
      const key = keyOf(request)
      const pin = known.get(key)
      const age = pin ? performance.now() - pin.since : Infinity
      if (pin && age <= fresh) return pin
      if (!old) return askAgain(key, request, signal)
      if (pin && age <= stale) {
        askAgain(key, request).catch(() => {}) // the next caller tries again
        return pin
      }
      return answerOrLast(key, request, signal)
    },
    moved(request, pin) {
      note(keyOf(request), pin)
    },
  }
}
