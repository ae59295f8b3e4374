import type { Blobs } from '../builds/blobs.ts'
import type { BuiltImage } from '../builds/build.ts'
import type { BuildOptions, Builds } from '../builds/builds.ts'
import { errorOf } from '../builds/failure.ts'
import { isComplete } from '../builds/image.ts'
import type { Pulls } from '../builds/pull-counter.ts'
import type { Recent } from '../builds/recent.ts'
import { createSubmissions } from '../builds/submissions.ts'
import { stillBuilding, stopping } from '../builds/still-building.ts'
import { NixeryError } from '../errors.ts'
import type { ImageRequest } from '../image/name.ts'
import { unwanted } from '../queue/demand.ts'
import { abandonedTooOften, outcomeOf, type Ask } from './ask.ts'
import type { EventLog } from './event-log.ts'
import { keyOfImage as keyOf, windowOf } from './image-keys.ts'
import type { Outcome } from './jobs.ts'
import type { JobState, JobTable } from './job-table.ts'
import { createSubmit } from './submit.ts'
import type { Pin, Pins } from './pins.ts'
import { createRevisionGroup, type RevisionGroup } from './revision-group.ts'
import type { Waiters } from './waiters.ts'

/** The spans of requests that are being handled. For `traceparent` see `BuildOptions`. */
export type RequestTraces = {
  readonly traceparentOf: (requestId: string) => string | undefined
  /** Links a request to the span that caused the build which it joins. */
  readonly link: (requestId: string, traceparent: string) => void
}

export type SharedBuildsDeps = {
  readonly table: JobTable
  readonly ask: Ask
  readonly pins: Pins
  readonly waiters: Pick<Waiters, 'wait'>
  readonly log: Pick<EventLog, 'read'>
  readonly blobs: Blobs
  readonly recent: Recent
  readonly pulls: Pick<Pulls, 'note'>
  /** How long a client still counts as waiting after a retry response, in seconds. */
  readonly retryLease: number
  readonly traces?: RequestTraces | undefined
  /** Called for each image that is served from memory. */
  readonly onRemembered?: (() => void) | undefined
  /** Called with the build of each failure. */
  readonly onFailure?: ((build: string, error: unknown) => void) | undefined
}

/** Builds on workers that share a database with this process. */
export type SharedBuilds = Builds & {
  /** Refuses new requests, and fails those that wait. */
  drain(): void
}

type Caller = BuildOptions & {
  readonly signal: AbortSignal
  readonly together: RevisionGroup
  readonly joined: (build: string) => void
  /** An answer that was found while the revision was chosen. */
  readonly kept?: { readonly key: string; readonly state: JobState } | undefined
}

/** The maximum number of changes of the package set during one request, and of stopped workers. */
const mostRounds = 5
// Milliseconds after which a build fails if no worker can take it: longer than the restart of a worker.
const unservedLimit = 20_000

export function createSharedBuilds(deps: SharedBuildsDeps): SharedBuilds {
  const { table, ask, pins, waiters, log, blobs, recent, pulls } = deps
  const submissions = createSubmissions()
  const groups = new Map<string, { readonly together: RevisionGroup; missing: number }>()
  const draining = new AbortController()

  const failed = (outcome: Outcome, build?: string): Error => {
    if (!('failure' in outcome)) return new Error('a job has an outcome of another kind')
    const error = errorOf(outcome.failure)
    if (build !== undefined) deps.onFailure?.(build, error)
    return error
  }
  const ready = async (request: ImageRequest, signal: AbortSignal): Promise<BuiltImage> => {
    const pin = pins.current(request)
    const known = pin && (await recent.find(keyOf(request, pin)))
    if (known) return known
    const outcome = await ask({ kind: 'ready', request }, signal)
    if ('built' in outcome) return outcome.built
    throw failed(outcome)
  }
  const submitted = createSubmit(table, ready)

  /** One round: the image at a revision, or the new revision of the tag. */
  const atRevision = async (
    request: ImageRequest,
    pin: Pin,
    caller: Caller,
  ): Promise<BuiltImage | string> => {
    const want = caller.background ? 'background' : 'waiting'
    let known = caller.kept?.key === keyOf(request, pin) ? caller.kept.state : undefined
    for (let attempt = 0; attempt < mostRounds; attempt += 1) {
      const found = await recent.find(keyOf(request, pin))
      if (found) {
        deps.onRemembered?.()
        return found
      }
      if (caller.signal.aborted) throw unwanted()
      const state = known ?? (await submitted(request, pin, { ...caller, want }))
      if ('image' in state) return state
      const { id, outcome: kept } = state
      known = undefined
      if (!kept) caller.joined(id)
      if (state.traceparent !== undefined) deps.traces?.link(caller.requestId, state.traceparent)
      const outcome = kept ?? (await outcomeOf(waiters.wait(id, want, unservedLimit), caller.signal))
      if ('moved' in outcome) return outcome.moved
      if ('built' in outcome) {
        if (!kept || (await isComplete(blobs, outcome.built.image))) {
          recent.remember(keyOf(request, pin), outcome.built)
          return outcome.built
        }
        await table.discard(id)
      } else if (!('abandoned' in outcome)) throw failed(outcome, id)
    }
    throw abandonedTooOften()
  }
  const find = async (request: ImageRequest, caller: Caller): Promise<BuiltImage> => {
    const { together, signal } = caller
    try {
      let kept: Caller['kept']
      // Images in memory are known without the database.
      const isKnown = async (pin: Pin) => {
        const key = keyOf(request, pin)
        if (await recent.find(key)) return true
        const job = { kind: 'image', request, world: pin.world } as const
        const state = await table.kept(job, windowOf(request, pin)).catch(() => undefined)
        kept = state && { key, state }
        return state !== undefined
      }
      let pin = await together.pin((old) => pins.pin(request, { old, signal }), isKnown)
      for (let round = 0; round < mostRounds; round += 1) {
        const result = await atRevision(request, pin, { ...caller, kept })
        if (typeof result === 'string') pins.moved(request, { world: result, at: pin.at })
        const moved = await together.settle(typeof result === 'string' ? result : undefined)
        if (moved === undefined && typeof result !== 'string') return result
        pin = { world: moved ?? pin.world, at: pin.at }
      }
    } catch (error) {
      together.leave()
      throw error
    }
    throw new NixeryError('SOURCE_INVALID', 'the package set keeps changing', {
      hint: 'all workers must have the same package set and the same image settings',
    })
  }
  /** Waits for an image as long as its caller waits. */
  const answer = async (
    request: ImageRequest,
    options: BuildOptions,
    {
      joined,
      leave,
      together,
    }: { joined: (build: string) => void; leave: AbortController; together: RevisionGroup },
  ): Promise<BuiltImage> => {
    const finding = new AbortController()
    const left = Promise.withResolvers<never>()
    left.promise.catch(() => {})
    let build: string | undefined
    let retrySent = false
    const expectBack = () => {
      if (build === undefined) return
      const expected = table.expect(build, deps.retryLease * 1000).catch(() => {}) // then it is built again
      void expected.then(() => finding.abort())
    }
    const end = (error: Error) => {
      left.reject(error)
      finding.abort()
    }
    const onLeave = () => end(unwanted())
    const onDrain = () => end(stopping())
    const sendRetry = () => {
      retrySent = true
      left.reject(stillBuilding(build))
      expectBack()
    }
    leave.signal.addEventListener('abort', onLeave)
    draining.signal.addEventListener('abort', onDrain)
    if (draining.signal.aborted) onDrain()
    const { signal } = finding
    const onJoin = (id: string) => {
      build = id
      joined(id)
      if (retrySent) expectBack()
    }
    const found = options.readyOnly
      ? ready(request, signal)
      : find(request, { ...options, signal, together, joined: onJoin })
    const timer = options.limit === undefined ? undefined : setTimeout(sendRetry, options.limit)
    try {
      const built = await Promise.race([found, left.promise])
      if (!options.background) pulls.note(request, built)
      return built
    } finally {
      clearTimeout(timer)
      found.catch(() => {}) // it may continue for a client that got a retry response
      leave.signal.removeEventListener('abort', onLeave)
      draining.signal.removeEventListener('abort', onDrain)
    }
  }

  const togetherOf = (group: BuildOptions['group']): RevisionGroup => {
    if (!group) return createRevisionGroup(1)
    const { together, missing } = groups.get(group.id) ?? {
      together: createRevisionGroup(group.size),
      missing: group.size,
    }
    if (missing > 1) groups.set(group.id, { together, missing: missing - 1 })
    else groups.delete(group.id)
    return together
  }

  return {
    known(request) {
      // A stopping process still serves known images, until the load balancer has noticed.
      const pin = pins.current(request, { old: draining.signal.aborted })
      const built = pin && recent.current(keyOf(request, pin))
      if (!built) return undefined
      deps.onRemembered?.()
      pulls.note(request, built)
      return built.image
    },
    submit(request, options) {
      const together = togetherOf(options.group)
      // Now, because a request that gets a retry response ends before its job is added.
      const traceparent = options.traceparent ?? deps.traces?.traceparentOf(options.requestId)
      const traced = { ...options, traceparent }
      const id = submissions.add((leave, joined) => answer(request, traced, { joined, leave, together }))
      return Promise.resolve({ id })
    },
    async *events(id) {
      for await (const build of submissions.find(id).builds()) yield* log.read(build)
    },
    result: async (id) => (await submissions.find(id).result).image,
    async cancel(id) {
      submissions.cancel(id)
    },
    drain: () => draining.abort(),
  }
}
