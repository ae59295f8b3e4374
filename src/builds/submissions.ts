import { LRUCache } from 'lru-cache'
import type { BuiltImage } from './build.ts'

/** A submitted request. */
export type Submission = {
  /** Yields the builds that serve it, one after another, and ends no later than the result. */
  builds(): AsyncIterable<string>
  readonly result: Promise<BuiltImage>
  readonly leave: AbortController
}

/** The requests that were submitted in this process, by their ids. */
export type Submissions = {
  /** Adds a request. @param answer starts it; `joined` takes each build that serves it */
  add(answer: (leave: AbortController, joined: (build: string) => void) => Promise<BuiltImage>): string
  /** @throws an Error for an invalid id */
  find(id: string): Submission
  /** Cancels a request, unless it has ended. */
  cancel(id: string): void
}

// How many ended submissions are kept for callers that request the result later, and for how long (ms).
const maxEnded = 1000
const endedTtl = 120_000

export function createSubmissions(): Submissions {
  const open = new Map<string, Submission>()
  const ended = new LRUCache<string, Submission>({ max: maxEnded, ttl: endedTtl })
  let submitted = 0
  return {
    add(answer) {
      submitted += 1
      const id = String(submitted)
      const leave = new AbortController()
      const builds = createGrowingList<string>()
      const result = answer(leave, (build) => builds.add(build))
      const submission = { builds: () => builds.read(), result, leave }
      const end = () => {
        builds.end()
        open.delete(id)
        ended.set(id, submission)
      }
      open.set(id, submission)
      result.then(end, end)
      return id
    },
    find(id) {
      const submission = open.get(id) ?? ended.get(id)
      if (!submission) throw new Error(`unknown request id ${id}: never submitted, or ended too long ago`)
      return submission
    },
    cancel: (id) => open.get(id)?.leave.abort(),
  }
}

/** A list whose readers wait for further items until it ends. */
function createGrowingList<T>() {
  const items: T[] = []
  let isOver = false
  let changed = Promise.withResolvers<void>()
  const wakeUp = () => {
    changed.resolve()
    changed = Promise.withResolvers()
  }
  return {
    /** Items that are added after the end are ignored. */
    add(item: T): void {
      if (isOver) return
      items.push(item)
      wakeUp()
    },
    end(): void {
      isOver = true
      wakeUp()
    },
    async *read(): AsyncGenerator<T> {
      for (let next = 0; ;) {
        const { promise } = changed
        if (next < items.length) yield items[next++] as T
        else if (isOver) return
        else await promise
      }
    },
  }
}
