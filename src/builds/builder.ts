import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { KnownLayer } from '../catalog/catalog.ts'
import type { VersionIndex } from '../catalog/versions.ts'
import type { ImageRequest } from '../image/name.ts'
import type { PinnedRequest, PackageSets } from '../packages/sets.ts'
import { urgencies } from '../queue/demand.ts'
import type { RecipeBook } from '../recipes/book.ts'
import { build as buildFlow, type BuiltImage, type FlowDeps, type Layering } from './build.ts'
import { existingUnlessAdmitted } from './admission.ts'
import type { Caller } from './caller.ts'
import { startOf, type BuildListener, type Emit } from './events.ts'
import { memoryOf } from './failure-memory.ts'
import type { Image } from './image.ts'
import { createBuildQueue, type QueuedBy } from './queue.ts'
import { createReady } from './ready.ts'
import { createRecent } from './recent.ts'
import { alreadyPinned, onItsOwn } from './one-revision.ts'
import { createRequestKeys } from './request-key.ts'
import type { Pulls } from './pull-counter.ts'
import { createFlights, type Start } from './single-flight.ts'
import { stillBuilding, stopping } from './still-building.ts'

export type BuilderDeps = FlowDeps & {
  readonly sets: Pick<PackageSets, 'pin' | 'current'>
  /** The index of known versions. */
  readonly versions?: Pick<VersionIndex, 'generation'>
  readonly recipes: Pick<RecipeBook, 'current' | 'state'>
  /** How layers are planned. Called once for each build, because popularity data can change during a build. */
  readonly layering: () => Layering
  readonly pulls: Pulls
  readonly listener: BuildListener
  /** How many builds may wait for Nix or packing. */
  readonly maxQueue: number
  /** How long a client still counts as waiting after a retry response, in seconds. */
  readonly retryLease: number
  /** Called for each image that is served from memory. */
  readonly onRemembered?: () => void
  /** Called before the image of a build is recorded. @throws if the build may no longer record it */
  readonly fence?: (build: string) => Promise<void>
}

/** Builds images: joins equal requests, and remembers failures. */
export type Builder = {
  /**
   * Equal requests share one build, which has the urgency of the most urgent caller. It is cancelled when no caller waits
   * and none is expected back, unless Nix has started to realise.
   * @throws STILL_BUILDING after the limit, with `{ build }` in its detail: the next request gets the same build, its
   *   image or its failure. OVERLOADED when too many builds are waiting; requests for known images and builds in progress
   *   are never refused. CANCELLED when the registry stops. For the errors of builds, see `build.ts`
   */
  build(image: ImageRequest, caller: Caller): Promise<BuiltImage>
  /** Returns the image, and counts a pull, if it is in memory and nothing has to be checked. */
  readonly known: (image: ImageRequest) => Image | undefined
  /** Whether Nix has started to realise for a build, which can then no longer be cancelled. */
  isCommitted(build: string): boolean
  /** Refuses new requests, and fails those that wait. */
  drain(): void
  /** The number of builds in progress. */
  readonly running: number
  /** The number of builds that wait for Nix or packing. */
  readonly queued: number
  /** The same by urgency. */
  queuedBy(): QueuedBy
}

export function createBuilder(deps: BuilderDeps): Builder {
  const queue = createBuildQueue(deps.maxQueue)
  const reconsider = () => deps.packer.reconsider()
  const builds = createFlights<BuiltImage>(reconsider)
  const packing = createFlights<KnownLayer>(reconsider)
  const recent = createRecent(deps.blobs)
  const ids = new Map<string, string>()
  const committed = new Set<string>()
  const expected = new Set<string>() // keys of builds for which a client got a retry response
  const failures = new LRUCache<string, { readonly error: unknown }>({ max: 1000 })
  const keyOf = createRequestKeys()
  const generation = () => deps.versions?.generation() ?? 0
  const keyFor = async (
    { request, pinned }: PinnedRequest<ImageRequest>,
    layering: Layering,
  ): Promise<string> => keyOf(request, pinned, layering, await deps.recipes.state(request), generation)
  const ready = createReady({ ...deps, recent, keyFor, packing })
  const waiting = new Set<(reason: Error) => void>()
  let draining = false

  const start =
    (
      key: string,
      { request, pinned }: PinnedRequest<ImageRequest>,
      layering: Layering,
      build: string,
    ): Start<BuiltImage> =>
    async (demand, commit) => {
      const place = queue.place(demand)
      demand.signal.addEventListener('abort', place.leave)
      ids.set(key, build)
      const emit: Emit = (event) => deps.listener(build, event)
      const started = performance.now()
      emit(startOf(request))
      try {
        const begin = () => {
          place.begin()
          commit()
          committed.add(build)
        }
        const { fence } = deps
        const steps = {
          ...demand,
          enter: place.enter,
          begin,
          ...(fence && { mayRecord: () => fence(build) }),
        }
        const context = { ...deps, ...steps, layering, request, emit, packing }
        const built = await buildFlow(context, pinned)
        emit({ type: 'finished', digest: built.image.manifests.oci.digest, ms: performance.now() - started })
        recent.remember(key, built)
        return built
      } catch (error) {
        emit({ type: 'failed', error, ms: performance.now() - started })
        const isExpected = ids.get(key) === build && expected.has(key)
        const memory = memoryOf(error, isExpected)
        if (memory > 0) failures.set(key, { error }, { ttl: memory })
        throw error
      } finally {
        place.leave()
        committed.delete(build)
        // A cancelled build may end after another one with the same key has started.
        if (ids.get(key) === build) {
          ids.delete(key)
          expected.delete(key)
        }
      }
    }

  const find = async (
    request: ImageRequest,
    { id, build: newId = randomUUID, background = false, readyOnly = false, onJoin, ...caller }: Caller,
    signal: AbortSignal,
    joined: (key: string) => void,
  ): Promise<BuiltImage> => {
    const { together = onItsOwn, mayStart, traceparent } = caller
    if (readyOnly) {
      const existing = await ready(request, together)
      deps.onRemembered?.()
      deps.pulls.note(request, existing)
      return existing
    }
    const layering = deps.layering()
    let pinnedRequest = await together.pin(deps.sets, request, { old: true })
    let key = await keyFor(pinnedRequest, layering)
    let known = await recent.find(key).catch((error: unknown) => {
      void together.agree(false) // so that the others do not wait
      throw error
    })
    if (!(await together.agree(known !== undefined))) {
      // Without a check, only known images are served for a package set that may have changed.
      pinnedRequest = await together.pin(deps.sets, request, { old: false })
      key = await keyFor(pinnedRequest, layering)
      known = await recent.find(key)
    }
    if (known) deps.onRemembered?.()
    const failure = known ? undefined : failures.get(key)
    if (failure) throw failure.error
    const flight = () => {
      const built = builds.run(key, start(key, pinnedRequest, layering, newId()), {
        signal,
        urgency: () => (background ? urgencies.background : urgencies.waiting),
      })
      const build = ids.get(key)
      if (build) {
        deps.listener(build, { type: 'joined', request: id, ...(traceparent && { traceparent }) })
        onJoin?.(build)
      }
      joined(key)
      return built
    }
    // An equal request may have started the build while this one was refused.
    const existing = () => (builds.has(key) ? flight() : ready(request, alreadyPinned(pinnedRequest)))
    const isNew = known === undefined && !builds.has(key)
    const refused = mayStart && isNew ? await existingUnlessAdmitted(mayStart, existing) : undefined
    const built = known ?? refused ?? (await flight())
    if (!background) deps.pulls.note(request, built)
    return built
  }

  return {
    get running() {
      return builds.size
    },
    get queued() {
      return queue.size
    },
    queuedBy: () => queue.byUrgency(),

    known(request) {
      const current = draining ? undefined : deps.sets.current(request)
      const state = current && deps.recipes.current(current.request)
      if (!current || state === undefined) return undefined
      const built = recent.current(keyOf(current.request, current.pinned, deps.layering(), state, generation))
      if (!built) return undefined
      deps.onRemembered?.()
      deps.pulls.note(request, built)
      return built.image
    },

    isCommitted: (build) => committed.has(build),

    async build(request, caller) {
      if (draining) throw stopping()
      const leave = new AbortController()
      const disconnect = () => leave.abort()
      caller.signal?.addEventListener('abort', disconnect)
      if (caller.signal?.aborted) disconnect()
      let key: string | undefined
      let retrySent = false
      const expectBack = () => {
        if (key === undefined) return
        if (builds.expect(key, deps.retryLease * 1000)) expected.add(key)
        leave.abort()
      }
      const result = find(request, caller, leave.signal, (joined) => {
        key = joined
        if (retrySent) expectBack()
      })
      const end = Promise.withResolvers<never>()
      const sendRetry = () => {
        retrySent = true
        // The retry response can close the connection, which must not count as disconnecting.
        caller.signal?.removeEventListener('abort', disconnect)
        end.reject(stillBuilding(key === undefined ? undefined : ids.get(key)))
        expectBack()
      }
      const timer = caller.limit === undefined ? undefined : setTimeout(sendRetry, caller.limit)
      waiting.add(end.reject)
      try {
        return await Promise.race([result, end.promise])
      } finally {
        clearTimeout(timer)
        waiting.delete(end.reject)
        caller.signal?.removeEventListener('abort', disconnect)
      }
    },

    drain() {
      draining = true
      for (const reject of waiting) reject(stopping())
    },
  }
}
