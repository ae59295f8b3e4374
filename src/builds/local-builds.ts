import type { ImageRequest } from '../image/name.ts'
import type { PinnedRequest } from '../packages/sets.ts'
import { createBuilder, type Builder, type BuilderDeps } from './builder.ts'
import type { BuildOptions, Builds, WorkerStatus } from './builds.ts'
import type { BuiltImage } from './build.ts'
import { createJournal } from './journal.ts'
import { createPin, type Pin } from './pinned.ts'
import { createSubmissions } from './submissions.ts'
import { alreadyPinned, createOneRevision, type OneRevision } from './one-revision.ts'

/** Builds in this process. */
export type LocalBuilds = Omit<Builds, 'submit'> &
  Pick<Builder, 'drain' | 'running' | 'queued' | 'isCommitted'> & {
    load(): Omit<ReturnType<WorkerStatus['load']>, 'evaluators' | 'revisions'>
    readonly pin: Pin
    /** @param meant the request, if it is already pinned */
    submit(
      request: ImageRequest,
      options: BuildOptions,
      pinnedRequest?: PinnedRequest<ImageRequest>,
    ): Promise<{ readonly id: string }>
    /** The same as `result`, with the image's key in the catalog. */
    built(id: string): Promise<BuiltImage>
  }

export function createLocalBuilds(deps: BuilderDeps): LocalBuilds {
  const journal = createJournal()
  const builder = createBuilder({
    ...deps,
    listener(build, event) {
      journal.add(build, event)
      deps.listener(build, event)
    },
  })
  const submissions = createSubmissions()
  const groups = new Map<string, { readonly together: OneRevision; missing: number }>()

  /** The state that a group shares. It is removed from the map when the last request of the group is submitted. */
  const groupOf = ({ id, size }: { readonly id: string; readonly size: number }): OneRevision => {
    const group = groups.get(id) ?? { together: createOneRevision(size), missing: size }
    group.missing -= 1
    if (group.missing > 0) groups.set(id, group)
    else groups.delete(id)
    return group.together
  }

  return {
    known: builder.known,

    submit(request, options, pinnedRequest) {
      const { requestId, traceparent, limit, background = false, readyOnly = false } = options
      const { mayStart, group, build } = options
      const id = submissions.add((leave, joined) =>
        builder.build(request, {
          id: requestId,
          traceparent,
          limit,
          background,
          readyOnly,
          mayStart,
          signal: leave.signal,
          onJoin: joined,
          ...(build !== undefined && { build: () => build }),
          ...(group && { together: groupOf(group) }),
          ...(pinnedRequest && { together: alreadyPinned(pinnedRequest) }),
        }),
      )
      return Promise.resolve({ id })
    },

    async *events(id) {
      for await (const build of submissions.find(id).builds()) yield* journal.read(build)
    },

    result: async (id) => (await submissions.find(id).result).image,
    built: async (id) => submissions.find(id).result,

    async cancel(id) {
      submissions.cancel(id)
    },

    pin: createPin(deps),
    isCommitted: (build) => builder.isCommitted(build),
    drain: () => builder.drain(),
    get running() {
      return builder.running
    },
    get queued() {
      return builder.queued
    },
    load: () => ({ running: builder.running, queued: builder.queued, queuedBy: builder.queuedBy() }),
  }
}
