import { setTimeout as delay } from 'node:timers/promises'
import { hasCode, NixeryError } from '../errors.ts'
import type { Listener } from '../postgres/listener.ts'
import type { Outcome } from './jobs.ts'
import type { JobTable, Want } from './job-table.ts'
import { periods } from './times.ts'

/** The callers in this process that wait for jobs. */
export type Waiters = {
  /** Waits for the outcome of a job, and periodically renews its demand, until `leave` is called. */
  wait(id: string, want: Want, unservedLimit: number): Waiting
  close(): Promise<void>
}

export type Waiting = {
  /** Rejects with NIX_UNAVAILABLE if no worker could take the job within the limit (ms). */
  readonly outcome: Promise<Outcome>
  leave(): void
}

type Waiter = {
  readonly want: Want
  readonly unservedLimit: number
  readonly end: PromiseWithResolvers<Outcome>
}

export function createWaiters(table: Pick<JobTable, 'look'>, listener: Pick<Listener, 'listen'>): Waiters {
  const waiters = new Map<string, Set<Waiter>>()
  const closing = new AbortController()
  let wake = Promise.withResolvers<void>()
  const due = new Set<string>()
  let renewAt = 0

  const settle = (id: string, end: (waiter: Waiter) => void) => {
    const all = waiters.get(id)
    waiters.delete(id)
    for (const each of all ?? []) end(each)
  }
  const look = async () => {
    const now = performance.now()
    const isPoll = due.size === 0
    const ids = isPoll ? [...waiters.keys()] : [...due].filter((id) => waiters.has(id))
    due.clear()
    if (ids.length === 0) return
    const renew = isPoll && now >= renewAt
    const wanted = new Map(
      ids.map((id) => [id, new Set([...(waiters.get(id) ?? [])].map(({ want }) => want))]),
    )
    const found = await table.look(wanted, renew)
    if (renew) renewAt = now + periods.renewWaiting
    for (const id of ids) {
      const job = found.get(id)
      if (!job) settle(id, ({ end }) => end.resolve({ abandoned: true }))
      else if (job.outcome) settle(id, ({ end }) => end.resolve(job.outcome ?? { abandoned: true }))
      else {
        for (const { unservedLimit, end } of waiters.get(id) ?? []) {
          if (job.unservedFor > unservedLimit) end.reject(noWorker())
        }
      }
    }
  }
  const run = async () => {
    while (!closing.signal.aborted) {
      wake = Promise.withResolvers()
      if (due.size === 0) {
        const poll = delay(periods.poll, undefined, { signal: closing.signal }).catch(() => {})
        await Promise.race([poll, wake.promise])
      }
      // While the database does not respond, waiters keep waiting, because their jobs may continue.
      await look().catch((error: unknown) => {
        if (!hasCode(error, 'STORE_UNAVAILABLE')) throw error
      })
    }
  }
  const endListening = listener.listen('nixery_ended', {
    notified(id) {
      if (!waiters.has(id)) return
      due.add(id)
      wake.resolve()
    },
    missed() {
      for (const id of waiters.keys()) due.add(id)
      wake.resolve()
    },
  })
  const running = run()

  return {
    wait(id, want, unservedLimit) {
      const end = Promise.withResolvers<Outcome>()
      end.promise.catch(() => {}) // it may have left in the meantime
      const waiter = { want, unservedLimit, end }
      const all = waiters.get(id) ?? new Set()
      waiters.set(id, all.add(waiter))
      // The job may have ended before this waiter was added.
      due.add(id)
      wake.resolve()
      return {
        outcome: end.promise,
        leave() {
          all.delete(waiter)
          if (all.size === 0 && waiters.get(id) === all) waiters.delete(id)
        },
      }
    },
    async close() {
      closing.abort()
      endListening()
      wake.resolve()
      await running
    },
  }
}

const noWorker = () =>
  new NixeryError('NIX_UNAVAILABLE', 'no worker is running that could do this', {
    hint: 'try again in a moment; existing images are served',
  })
