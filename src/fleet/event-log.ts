import { setTimeout as delay } from 'node:timers/promises'
import { sql, type Kysely } from 'kysely'
import type { BuildUpdate } from '../builds/builds.ts'
import type { Listener } from '../postgres/listener.ts'
import { numberBefore, readEvents } from './event-rows.ts'
import { inDatabase } from './job-table.ts'
import { periods } from './times.ts'

/** The log of all builds, for readers in this process. */
export type EventLog = {
  /** Yields the events of a build from its start to its end, as they come. */
  read(build: string): AsyncIterable<BuildUpdate>
  /** Calls a function with the last events of all builds, and with new ones as they come. */
  follow(listener: (build: string, update: BuildUpdate) => void): void
  close(): Promise<void>
}

// Events of the past that a process reads when it starts, and events that are read at once.
const past = 5_000
const page = 1_000

const isLast = ({ type }: BuildUpdate): boolean => type === 'finished' || type === 'failed'

export function openEventLog(db: Kysely<unknown>, listener: Pick<Listener, 'listen'>): EventLog {
  const closing = new AbortController()
  let news = Promise.withResolvers<void>()
  const wakeUp = () => {
    news.resolve()
    news = Promise.withResolvers()
  }
  const endListening = listener.listen('nixery_events', { notified: wakeUp, missed: wakeUp })
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

  const tail = async (tell: (build: string, update: BuildUpdate) => void) => {
    let after: number | undefined
    while (!closing.signal.aborted) {
      const heard = news.promise
      after ??= await patiently(inDatabase(() => numberBefore(db, past)))
      const found = after === undefined ? undefined : await patiently(readFrom(after))
      for (const { build, event } of found ?? []) tell(build, event)
      after = found?.at(-1)?.seq ?? after
      if (found?.length !== page) await pauseUntil(heard)
    }
  }
  const tails: Promise<void>[] = []

  return {
    async *read(build) {
      let after = 0
      let wasOpen = true
      while (!closing.signal.aborted) {
        const heard = news.promise
        const found = await patiently(readFrom(after, build))
        for (const { seq, event } of found ?? []) {
          after = seq
          yield event
          if (isLast(event)) return
        }
        if (found?.length === page) continue
        // The end of a build is recorded with its last event, so what is not there now will never be.
        if (found && !wasOpen) return
        wasOpen = (await patiently(isOpen(build))) !== false
        if (wasOpen) await pauseUntil(heard)
      }
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
