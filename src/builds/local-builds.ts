import { LRUCache } from 'lru-cache'
import { createBuilder, type Builder, type BuilderDeps } from './builder.ts'
import type { Builds } from './builds.ts'
import type { Image } from './image.ts'
import { createJournal } from './journal.ts'
import { createOneRevision, type OneRevision } from './one-revision.ts'

/** Builds in this process. */
export type LocalBuilds = Builds & Pick<Builder, 'drain' | 'running' | 'queued'>

/** A submitted request. */
type Submission = {
  /** The build that serves it; undefined if none was needed. Settles no later than the result. */
  readonly build: Promise<string | undefined>
  readonly result: Promise<Image>
  readonly leave: AbortController
}

// How many ended submissions are kept for callers that request the result later, and for how long (ms).
const maxEnded = 1000
const endedTtl = 120_000

export function createLocalBuilds(deps: BuilderDeps): LocalBuilds {
  const journal = createJournal()
  const builder = createBuilder({
    ...deps,
    listener(build, event) {
      journal.add(build, event)
      deps.listener(build, event)
    },
  })
  const open = new Map<string, Submission>()
  const ended = new LRUCache<string, Submission>({ max: maxEnded, ttl: endedTtl })
  const groups = new Map<string, { readonly together: OneRevision; missing: number }>()
  let submitted = 0

  const find = (id: string): Submission => {
    const submission = open.get(id) ?? ended.get(id)
    if (!submission) throw new Error(`unknown request id ${id}: never submitted, or ended too long ago`)
    return submission
  }

  /** The state that a group shares. It is removed from the map when the last request of the group is submitted. */
  const groupOf = ({ id, size }: { readonly id: string; readonly size: number }): OneRevision => {
    const group = groups.get(id) ?? { together: createOneRevision(size), missing: size }
    group.missing -= 1
    if (group.missing > 0) groups.set(id, group)
    else groups.delete(id)
    return group.together
  }

  return {
    known: (request) => builder.known(request),

    submit(request, { requestId, limit, background = false, readyOnly = false, group }) {
      submitted += 1
      const id = String(submitted)
      const leave = new AbortController()
      const joined = Promise.withResolvers<string | undefined>()
      const result = builder.build(request, {
        id: requestId,
        limit,
        background,
        readyOnly,
        signal: leave.signal,
        onJoin: joined.resolve,
        ...(group && { together: groupOf(group) }),
      })
      const submission = { build: joined.promise, result, leave }
      const end = () => {
        joined.resolve(undefined)
        open.delete(id)
        ended.set(id, submission)
      }
      open.set(id, submission)
      result.then(end, end)
      return Promise.resolve({ id })
    },

    async *events(id) {
      const build = await find(id).build
      if (build !== undefined) yield* journal.read(build)
    },

    result: async (id) => find(id).result,

    async cancel(id) {
      open.get(id)?.leave.abort()
    },

    drain: () => builder.drain(),
    get running() {
      return builder.running
    },
    get queued() {
      return builder.queued
    },
  }
}
