import { LRUCache } from 'lru-cache'
import type { BuildUpdate } from './builds.ts'
import type { BuildEvent } from './events.ts'
import { failureOf } from './failure.ts'

/** Records the events of builds, for readers that start later. */
export type Journal = {
  add(build: string, event: BuildEvent): void
  /** Yields recorded events, then new ones, until the build ends. */
  read(build: string): AsyncIterable<BuildUpdate>
}

// Limits for each build: the number of events, and the size of their text in UTF-16 units.
const maxEvents = 1000
const maxText = 100_000
// How many builds that have ended are kept, and for how long (ms).
const maxEnded = 50
const endedTtl = 120_000

type Entry = {
  readonly events: BuildUpdate[]
  /** The number of dropped events. */
  dropped: number
  text: number
  over: boolean
  /** Resolved and replaced with each event. */
  changed: PromiseWithResolvers<void>
}

export function createJournal(): Journal {
  const running = new Map<string, Entry>()
  const ended = new LRUCache<string, Entry>({ max: maxEnded, ttl: endedTtl })

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
      while (entry.events.length > 1 && (entry.events.length > maxEvents || entry.text > maxText)) {
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
