import { LRUCache } from 'lru-cache'
import type { BuiltImage } from './build.ts'

/** A submitted request. */
export type Submission = {
  /** The build that serves it; undefined if none was needed. Settles no later than the result. */
  readonly build: Promise<string | undefined>
  readonly result: Promise<BuiltImage>
  readonly leave: AbortController
}

/** The requests that were submitted in this process, by their ids. */
export type Submissions = {
  /** Adds a request. @param answer starts it; `joined` takes the build that serves it */
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
      const joined = Promise.withResolvers<string | undefined>()
      const result = answer(leave, joined.resolve)
      const submission = { build: joined.promise, result, leave }
      const end = () => {
        joined.resolve(undefined)
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
