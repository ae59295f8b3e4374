import { LRUCache } from 'lru-cache'
import { NixeryError } from '../errors.ts'
import { createCounter, type Counter } from './counter.ts'
import type { GuardedLedger } from './ledger.ts'
import type { Holder, Quota, QuotaUse } from './quota.ts'
import { createSharedCounter } from './shared-counter.ts'

/** The usage counted against one quota. */
export type Usage = {
  /** Counts a request. @throws RATE_LIMITED */
  request(holder: Holder): Promise<void>
  /**
   * Counts a build before it starts.
   * @throws RATE_LIMITED, or QUOTA_EXCEEDED if the wait is longer than clients retry
   */
  build(holder: Holder): Promise<BuildPlace>
  /** Call it before sending a blob; a started transfer is completed. @throws RATE_LIMITED, QUOTA_EXCEEDED */
  checkBytes(holder: Holder): Promise<void>
  addBytes(holder: Holder, bytes: number): Promise<void>
  /** `ratelimit-limit` and similar headers, as sent by Docker Hub. */
  headers(holder: Holder): Promise<Readonly<Record<string, string>>>
  /** Of the last holders that built or were sent blobs, those that have used anything of the quota. */
  uses(): Promise<QuotaUse[]>
  /** Writes what is not yet in the ledger. */
  flush(): Promise<void>
}

/** A build that was counted against a quota. */
export type BuildPlace = {
  /** Reverts the count, because there was nothing to build. */
  readonly giveBack: () => Promise<void>
  /** Records the end of the build. */
  readonly end: () => void
}

// Seconds. podman retries a 429 up to 20 times and honors Retry-After; clients that must wait longer get an error at
// once.
const longestRetry = 60
// Holders of one quota that are known by name; the use of all is counted.
const mostShown = 1_000

/**
 * Counts the usage of all holders of one quota: builds and bytes in the ledger, if there is one, and the rest in memory.
 * Requests are too many for a ledger, and a load balancer gives each server its share of them.
 */
export function createUsage(quota: Quota, ledger?: GuardedLedger): Usage {
  const local = (limit: number | undefined, seconds: number) =>
    limit === undefined ? undefined : createCounter(limit, seconds)
  const shared = (name: string, limit: number | undefined, seconds: number) => {
    const memory = local(limit, seconds)
    return memory && ledger
      ? createSharedCounter(memory, name, ledger)
      : memory && { ...memory, async flush() {} }
  }
  const requests = local(quota.requests, 1)
  const builds = shared('builds', quota.builds, 3600)
  const bytes = shared('bytes', quota.bytes, 24 * 3600)
  const atOnce = new Map<string, number>()
  const holders = new LRUCache<string, Holder>({ max: mostShown })

  const enter = ({ key, shown }: Holder): (() => void) => {
    const limit = quota.buildsAtOnce
    const running = atOnce.get(key) ?? 0
    if (limit !== undefined && running >= limit) {
      throw refusal(`${limit} builds for ${shown} are running, which is the maximum`, 5_000)
    }
    if (limit === undefined) return () => {}
    atOnce.set(key, running + 1)
    let isOver = false
    return () => {
      if (isOver) return
      isOver = true
      const left = (atOnce.get(key) ?? 1) - 1
      if (left > 0) atOnce.set(key, left)
      else atOnce.delete(key)
    }
  }

  return {
    async request(holder) {
      const wait = await requests?.take(holder)
      if (wait !== undefined)
        throw refusal(`too many requests: ${quota.requests} per second are allowed for ${holder.shown}`, wait)
    },
    async build(holder) {
      holders.set(holder.key, holder)
      const end = enter(holder)
      const wait = await builds?.take(holder)
      if (wait !== undefined) {
        end()
        throw refusal(`the quota of ${quota.builds} builds per hour is used up for ${holder.shown}`, wait)
      }
      return { end, giveBack: once(() => builds?.giveBack(holder, 1)) }
    },
    async checkBytes(holder) {
      const wait = await bytes?.spent(holder)
      if (wait !== undefined)
        throw refusal(`the quota of ${quota.bytes} bytes per day is used up for ${holder.shown}`, wait)
    },
    async addBytes(holder, size) {
      if (size <= 0 || !bytes) return
      holders.set(holder.key, holder)
      await bytes.add(holder, size)
    },
    async headers(holder) {
      const shownCounter = builds ?? bytes ?? requests
      return shownCounter ? headersOf(shownCounter, await shownCounter.left(holder), holder.shown) : {}
    },
    async uses() {
      const used = async (of: Counter | undefined, holder: Holder) =>
        of ? of.limit - (await of.left(holder)) : 0
      const all = await Promise.all(
        [...holders.values()].map(async (holder) => ({
          shown: holder.shown,
          quota,
          builds: await used(builds, holder),
          buildsAtOnce: atOnce.get(holder.key) ?? 0,
          bytes: await used(bytes, holder),
        })),
      )
      return all.filter((use) => use.builds > 0 || use.buildsAtOnce > 0 || use.bytes > 0)
    },
    flush: async () => void (await Promise.all([builds?.flush(), bytes?.flush()])),
  }
}

function headersOf({ limit, seconds }: Counter, left: number, shown: string): Record<string, string> {
  return {
    'ratelimit-limit': `${limit};w=${seconds}`,
    'ratelimit-remaining': `${left};w=${seconds}`,
    'docker-ratelimit-source': shown.replace(/[^\x21-\x7e]/g, '_'),
  }
}

/** @param wait milliseconds */
function refusal(message: string, wait: number): NixeryError {
  const seconds = Math.max(1, Math.ceil(wait / 1000))
  if (seconds <= longestRetry) {
    return new NixeryError('RATE_LIMITED', message, {
      hint: `try again in ${seconds} s`,
      detail: { retryAfter: seconds },
    })
  }
  return new NixeryError('QUOTA_EXCEEDED', message, {
    hint: `more is available in ${Math.ceil(seconds / 60)} minutes; existing images can still be pulled`,
  })
}

/** Does work at the first call only. */
function once(work: () => Promise<void> | undefined): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => (done ??= Promise.resolve(work()))
}
