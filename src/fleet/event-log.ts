import { setTimeout as delay } from 'node:timers/promises'
import { sql, type Kysely } from 'kysely'
import type { BuildUpdate } from '../builds/builds.ts'
import type { BuildEvent, BuildListener } from '../builds/events.ts'
import { errorOf } from '../builds/failure.ts'
import { createJournal } from '../builds/journal.ts'
import { stopping } from '../builds/still-building.ts'
import type { Listener } from '../postgres/listener.ts'
import { numberBefore, readEvents } from './event-rows.ts'
import { inDatabase } from './job-table.ts'
import { periods } from './times.ts'

/** The event log of all builds, for readers in this process. */
export type EventLog = {
  /** Yields the events of a build from its start to its end, as they arrive. */
  read(build: string): AsyncIterable<BuildUpdate>
  /** Calls a function with the last events of all builds, and with new ones as they arrive. */
  follow(listener: BuildListener): void
  close(): Promise<void>
}

// The number of past events that a process reads at startup, and the batch size for reading.
const past = 5_000
const page = 1_000

// Milliseconds for which an ended build is not read again.
const copyTtl = 60_000

const eventOf = (update: BuildUpdate): BuildEvent =>
  update.type === 'failed' ? { ...update, error: errorOf(update.failure) } : update
const isLast = ({ type }: BuildUpdate): boolean => type === 'finished' || type === 'failed'

export function openEventLog(db: Kysely<unknown>, listener: Pick<Listener, 'listen'>): EventLog {
  const closing = new AbortController()
  let news = Promise.withResolvers<void>()
  const wakeUp = () => {
    news.resolve()
    news = Promise.withResolvers()
  }
  let reconnections = 0
  const endListening = listener.listen('nixery_events', {
    notified: wakeUp,
    missed() {
      reconnections += 1
      wakeUp()
    },
  })
  const readFrom = (after: number, build?: string) =>
    inDatabase(() => readEvents(db, { after, limit: page, ...(build !== undefined && { build }) }))
  const isOpen = (build: string) =>
    inDatabase(async () => {
      const { rows } = await sql`select from jobs where id = ${build} and state <> 'ended'`.execute(db)
      return rows.length > 0
    })
  /** While the database does not respond, readers wait. */
  const patiently = <T>(work: Promise<T>): Promise<T | undefined> => work.catch(() => undefined)
  const pauseUntil = (heard: Promise<void>) =>
    Promise.race([heard, delay(periods.poll, undefined, { signal: closing.signal }).catch(() => {})])

  const tail = async (tell: BuildListener) => {
    let after: number | undefined
    let checked = reconnections
    while (!closing.signal.aborted) {
      const heard = news.promise
      after ??= await patiently(inDatabase(() => numberBefore(db, past)))
      if (after !== undefined && checked !== reconnections) {
        // It may be a restored database, or a standby that lacked the last events: then numbers begin again below `after`.
        const current = reconnections
        const last = await patiently(inDatabase(() => numberBefore(db, 0)))
        after = Math.min(after, last ?? after)
        if (last !== undefined) checked = current
      }
      const found = after === undefined ? undefined : await patiently(readFrom(after))
      for (const { build, event } of found ?? []) if (event) tell(build, eventOf(event))
      after = found?.at(-1)?.seq ?? after
      if (found?.length !== page) await pauseUntil(heard)
    }
  }
  // Readers of one build share its events.
  const journal = createJournal()
  const copies = new Map<string, Promise<void>>()
  const copyAll = async (build: string, onStart: () => void) => {
    let after = 0
    let wasOpen = true
    while (!closing.signal.aborted) {
      const heard = news.promise
      const found = await patiently(readFrom(after, build))
      for (const { seq, event } of found ?? []) {
        after = seq
        if (!event) continue
        journal.add(build, eventOf(event))
        if (isLast(event)) return
      }
      if (after > 0) onStart()
      if (found?.length === page) continue
      // The end of a build is recorded with its last event, so missing events will never arrive.
      if (found && !wasOpen) break
      wasOpen = (await patiently(isOpen(build))) !== false
      if (wasOpen) await pauseUntil(heard)
    }
    journal.add(build, { type: 'failed', error: stopping(), ms: 0 })
  }
  const copy = (build: string): Promise<void> => {
    const started = Promise.withResolvers<void>()
    copies.set(build, started.promise)
    const forget = () => {
      started.resolve()
      setTimeout(() => copies.delete(build), copyTtl).unref()
    }
    void copyAll(build, started.resolve).finally(forget)
    return started.promise
  }
  const tails: Promise<void>[] = []

  return {
    async *read(build) {
      await (copies.get(build) ?? copy(build))
      yield* journal.read(build)
    },
    follow(tell) {
      tails.push(tail(tell))
    },
    async close() {
      closing.abort()
      endListening()
      wakeUp()
      await Promise.all(tails)
    },
  }
}
