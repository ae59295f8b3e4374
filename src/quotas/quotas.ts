import { LRUCache } from 'lru-cache'
import { NixeryError } from '../errors.ts'
import { createCounter, type Counter } from './counter.ts'
import type { Holder, Quota, QuotaUse } from './quota.ts'

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
}

/** A build that was counted against a quota. */
export type BuildPlace = {
  /** Reverts the count, because there was nothing to build. */
  readonly giveBack: () => void
  /** Records the end of the build. */
  readonly end: () => void
}

// Seconds. podman retries a 429 up to 20 times and honors Retry-After; clients that must wait longer get an error at
// once.
const longestRetry = 60
// Holders of one quota that are known by name; the use of all is counted.
const mostShown = 1_000

/** Counts the usage of all holders of one quota, in memory. */
export function createUsage(quota: Quota): Usage {
  const counter = (limit: number | undefined, seconds: number) =>
    limit === undefined ? undefined : createCounter(limit, seconds)
  const requests = counter(quota.requests, 1)
  const builds = counter(quota.builds, 3600)
  const bytes = counter(quota.bytes, 24 * 3600)
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
    return once(() => {
      const left = (atOnce.get(key) ?? 1) - 1
      if (left > 0) atOnce.set(key, left)
      else atOnce.delete(key)
    })
  }

  return {
    async request({ key, shown }) {
      const wait = await requests?.take(key)
      if (wait !== undefined)
        throw refusal(`too many requests: ${quota.requests} per second are allowed for ${shown}`, wait)
    },
    async build(holder) {
      holders.set(holder.key, holder)
      const end = enter(holder)
      const wait = await builds?.take(holder.key)
      if (wait !== undefined) {
        end()
        throw refusal(`the quota of ${quota.builds} builds per hour is used up for ${holder.shown}`, wait)
      }
      return { end, giveBack: once(() => void builds?.giveBack(holder.key, 1)) }
    },
    async checkBytes({ key, shown }) {
      const wait = await bytes?.spent(key)
      if (wait !== undefined)
        throw refusal(`the quota of ${quota.bytes} bytes per day is used up for ${shown}`, wait)
    },
    async addBytes(holder, size) {
      if (size <= 0 || !bytes) return
      holders.set(holder.key, holder)
      await bytes.add(holder.key, size)
    },
    async headers({ key, shown }) {
      const shownCounter = builds ?? bytes ?? requests
      return shownCounter ? headersOf(shownCounter, await shownCounter.left(key), shown) : {}
    },
    async uses() {
      const used = async (of: Counter | undefined, key: string) => (of ? of.limit - (await of.left(key)) : 0)
      const all = await Promise.all(
        [...holders.values()].map(async ({ key, shown }) => ({
          shown,
          quota,
          builds: await used(builds, key),
          buildsAtOnce: atOnce.get(key) ?? 0,
          bytes: await used(bytes, key),
        })),
      )
      return all.filter((use) => use.builds > 0 || use.buildsAtOnce > 0 || use.bytes > 0)
    },
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

function once(work: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    work()
  }
}
