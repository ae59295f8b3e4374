import { LRUCache } from 'lru-cache'
import { createBuilder, type Builder, type BuilderDeps } from './builder.ts'
import type { Builds } from './builds.ts'
import type { Image } from './image.ts'
import { createJournal } from './journal.ts'
import { createOneRevision, type OneRevision } from './one-revision.ts'

/** Builds in this process. */
export type LocalBuilds = Builds & Pick<Builder, 'drain' | 'running' | 'queued'>

/** A request that was submitted. */
type Submission = {
  /** The build that serves it; undefined if none was needed. Settles with the result at the latest. */
  readonly build: Promise<string | undefined>
  readonly result: Promise<Image>
  readonly leave: AbortController
}

// Submissions that have ended, for callers that ask for the result later; and for how long (ms).
const mostEnded = 1000
const keptFor = 120_000

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
  const ended = new LRUCache<string, Submission>({ max: mostEnded, ttl: keptFor })
  const groups = new Map<string, { readonly together: OneRevision; missing: number }>()
  let submitted = 0

  const find = (id: string): Submission => {
    const submission = open.get(id) ?? ended.get(id)
    if (!submission) throw new Error(`no request was submitted as ${id}, or it ended long ago`)
    return submission
  }

  /** What the members of a group share. The last of them to be submitted takes it out of the table. */
  const groupOf = ({ id, size }: { readonly id: string; readonly size: number }): OneRevision => {
    const group = groups.get(id) ?? { together: createOneRevision(size), missing: size }
    group.missing -= 1
    if (group.missing > 0) groups.set(id, group)
    else groups.delete(id)
    return group.together
  }

  return {
    known: (request) => builder.known(request),

    submit(request, { requestId, limit, background = false, group }) {
      submitted += 1
      const id = String(submitted)
      const leave = new AbortController()
      const joined = Promise.withResolvers<string | undefined>()
      const result = builder.build(request, {
        id: requestId,
        limit,
        background,
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
