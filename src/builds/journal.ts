import { LRUCache } from 'lru-cache'
import { isNixeryError } from '../errors.ts'
import type { BuildFailure, BuildUpdate } from './builds.ts'
import type { BuildEvent } from './events.ts'

/** The events of each build, for readers that may come late. */
export type Journal = {
  add(build: string, event: BuildEvent): void
  /** Events from the beginning, as far as they are kept, then as they come. Ends with the build. */
  read(build: string): AsyncIterable<BuildUpdate>
}

// Of each build, so many events and so many UTF-16 units of text are kept; and builds that have ended, for so long (ms).
const mostEvents = 1000
const mostText = 100_000
const mostEnded = 50
const keptFor = 120_000

type Entry = {
  readonly events: BuildUpdate[]
  /** How many events before these were dropped. */
  dropped: number
  text: number
  over: boolean
  /** Resolved, and replaced, with each event. */
  changed: PromiseWithResolvers<void>
}

export function createJournal(): Journal {
  const running = new Map<string, Entry>()
  const ended = new LRUCache<string, Entry>({ max: mostEnded, ttl: keptFor })

  return {
    add(build, event) {
      let entry = running.get(build)
      if (!entry) {
        if (event.type !== 'started') return
        entry = { events: [], dropped: 0, text: 0, over: false, changed: Promise.withResolvers() }
        running.set(build, entry)
      }
      entry.events.push(updateOf(event))
      entry.text += textOf(event)
      while (entry.events.length > 1 && (entry.events.length > mostEvents || entry.text > mostText)) {
        const dropped = entry.events.shift()
        entry.dropped += 1
        if (dropped) entry.text -= textOf(dropped)
      }
      if (event.type === 'finished' || event.type === 'failed') {
        entry.over = true
        running.delete(build)
        ended.set(build, entry)
      }
      const { changed } = entry
      entry.changed = Promise.withResolvers()
      changed.resolve()
    },

    async *read(build) {
      const entry = running.get(build) ?? ended.get(build)
      if (!entry) return
      for (let next = 0; ;) {
        next = Math.max(next, entry.dropped)
        const event = entry.events[next - entry.dropped]
        if (event) {
          next += 1
          yield event
        } else if (entry.over) return
        else await entry.changed.promise
      }
    },
  }
}

const textOf = (event: BuildEvent | BuildUpdate): number =>
  event.type === 'nix' ? event.line.length : event.type === 'warning' ? event.message.length : 0

const updateOf = (event: BuildEvent): BuildUpdate =>
  event.type === 'failed' ? { type: 'failed', failure: failureOf(event.error), ms: event.ms } : event

function failureOf(error: unknown): BuildFailure {
  if (!isNixeryError(error)) return { code: undefined, message: 'an internal error' }
  const { code, message, hint, detail } = error
  return { code, message, ...(hint !== undefined && { hint }), ...(detail !== undefined && { detail }) }
}
