import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { KnownLayer } from '../catalog/catalog.ts'
import type { VersionIndex } from '../catalog/versions.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import { DerivationGone } from '../nix/realise.ts'
import type { PackageSets } from '../packages/sets.ts'
import type { PinnedSet } from '../packages/source.ts'
import { urgencies } from '../queue/demand.ts'
import type { RecipeBook } from '../recipes/book.ts'
import { makeImage, type FlowDeps, type Layering, type Made } from './build.ts'
import type { BuildListener, Emit } from './events.ts'
import type { Image } from './image.ts'
import { createBuildQueue } from './queue.ts'
import { createRecent } from './recent.ts'
import { onItsOwn, type OneRevision } from './one-revision.ts'
import { createRequestKeys } from './request-key.ts'
import type { Pulls } from './pull-counter.ts'
import { createFlights, type Start } from './single-flight.ts'
import { soon } from './soon.ts'

export type BuilderDeps = FlowDeps & {
  readonly sets: Pick<PackageSets, 'pin' | 'current'>
  /** The index that says which versions there are. */
  readonly versions?: Pick<VersionIndex, 'generation'>
  readonly recipes: Pick<RecipeBook, 'current' | 'state'>
  /** How layers are planned. Asked once for each build: popularity data may change while one is at work. */
  readonly layering: () => Layering
  readonly pulls: Pulls
  readonly listener: BuildListener
  /** How many builds may wait for Nix or for packing. */
  readonly maxQueue: number
  /** Seconds for which a client that was told to retry counts as waiting. */
  readonly retryLease: number
  /** Hears of each image that was answered from memory. */
  readonly onRemembered?: () => void
}

/** Who asks for an image, and how. */
export type Asked = {
  /** For the log. */
  readonly id: string
  /** Fires when the one who asks has left. Read only for a request that waits, as is the limit: both may be getters. */
  readonly signal?: AbortSignal
  /** Milliseconds to wait; the build goes on without the one who asked (STILL_BUILDING), who is expected back. */
  readonly limit?: number | undefined
  /** Made ahead of demand: after everything else, and not counted as pulled. */
  readonly background?: boolean
  /** Is called with the id of the build that serves the request, if one has to. */
  readonly onJoin?: (build: string) => void
  /** What this image shares with others that must be of the same revision. */
  readonly together?: OneRevision
}

/** From a request to a published image. */
export type Builder = {
  /**
   * Equal requests share one build. It is cancelled when nobody waits for it and nobody is expected back, unless Nix
   * has begun to realise; whoever joins it gives it their urgency.
   * @throws STILL_BUILDING past the limit, with `{ build }` in its detail: the next request finds the same build, its
   *   image or its failure. OVERLOADED when too many builds wait already; known images and builds in progress are
   *   never refused. CANCELLED when the registry stops. What a build throws is in `build.ts`
   */
  build(image: ImageRequest, asked: Asked): Promise<Image>
  /** The image, counted as pulled, if `build` would find it in memory without waiting for anything. */
  known(image: ImageRequest): Image | undefined
  /** Takes no more requests, and sends those away that wait. */
  drain(): void
  /** Builds in progress. */
  readonly running: number
  /** Those of them that wait for Nix or for packing. */
  readonly queued: number
}

// Milliseconds for which a failure is remembered: for those who were told to come back longer than any client pauses; for
// all as long as one pull may take, in which Docker asks twice and podman up to four times.
const keptForComers = 120_000
const keptForAll = 10_000

/** Refusals, which are the same for as long as the revision is. */
const isRefusal = (error: unknown): boolean => hasCode(error, 'PACKAGE_UNKNOWN', 'PACKAGE_DENIED')

/** Failures of the package, which it has again when nothing changes. */
const isFinal = (error: unknown): boolean =>
  hasCode(error, 'BUILD_FAILED', 'BUILD_TIMEOUT', 'EVALUATION_TIMEOUT') && !(error instanceof DerivationGone)

/** Failures that say nothing of the package. */
const isPassing = (error: unknown): boolean => hasCode(error, 'CANCELLED', 'OVERLOADED')

export function createBuilder(deps: BuilderDeps): Builder {
  const queue = createBuildQueue(deps.maxQueue)
  const builds = createFlights<Made>(() => deps.packer.reconsider())
  const packing = createFlights<KnownLayer>(() => deps.packer.reconsider())
  const recent = createRecent(deps.blobs)
  const ids = new Map<string, string>()
  const left = new Set<string>() // builds that somebody was told to come back for
  const failures = new LRUCache<string, { readonly error: unknown }>({ max: 1000 })
  const keyOf = createRequestKeys()
  const generation = () => deps.versions?.generation() ?? 0
  const waiting = new Set<(reason: Error) => void>()
  let draining = false

  const start =
    (key: string, request: ImageRequest, pinned: PinnedSet, layering: Layering): Start<Made> =>
    async (demand, commit) => {
      const place = queue.place(demand)
      demand.signal.addEventListener('abort', place.leave)
      const build = randomUUID()
      ids.set(key, build)
      const emit: Emit = (event) => deps.listener(build, event)
      const started = performance.now()
      emit({ type: 'started', image: formatImageName(request) })
      try {
        const begin = () => {
          place.begin()
          commit()
        }
        const context = { ...deps, ...demand, enter: place.enter, begin, layering, request, emit, packing }
        const made = await makeImage(context, pinned)
        emit({ type: 'finished', digest: made.image.manifests.oci.digest, ms: performance.now() - started })
        recent.remember(key, made)
        return made
      } catch (error) {
        emit({ type: 'failed', error, ms: performance.now() - started })
        const isExpected = ids.get(key) === build && left.has(key)
        const kept = isPassing(error)
          ? 0
          : isExpected || isRefusal(error)
            ? keptForComers
            : isFinal(error)
              ? keptForAll
              : 0
        if (kept > 0) failures.set(key, { error }, { ttl: kept })
        throw error
      } finally {
        place.leave()
        // A cancelled build may end after another has begun in its place.
        if (ids.get(key) === build) {
          ids.delete(key)
          left.delete(key)
        }
      }
    }

  const find = async (
    request: ImageRequest,
    { id, background = false, onJoin, together = onItsOwn() }: Asked,
    signal: () => AbortSignal,
    joined: (key: string) => void,
  ): Promise<Image> => {
    const layering = deps.layering()
    let meant = await together.pin(deps.sets, request, { old: true })
    let key = keyOf(
      meant.request,
      meant.pinned,
      layering,
      await deps.recipes.state(meant.request),
      generation(),
    )
    let known = await recent.find(key).catch((error: unknown) => {
      void together.agree(false) // the others must not wait for this one
      throw error
    })
    if (!(await together.agree(known !== undefined))) {
      // Only what is known is answered for a set that may have changed meanwhile.
      meant = await together.pin(deps.sets, request, { old: false })
      key = keyOf(
        meant.request,
        meant.pinned,
        layering,
        await deps.recipes.state(meant.request),
        generation(),
      )
      known = await recent.find(key)
    }
    if (known) deps.onRemembered?.()
    const failure = known ? undefined : failures.get(key)
    if (failure) throw failure.error
    const flight = () => {
      const urgency = () => (background ? urgencies.background : urgencies.waiting)
      const made = builds.run(key, start(key, meant.request, meant.pinned, layering), {
        signal: signal(),
        urgency,
      })
      const build = ids.get(key)
      if (build) {
        deps.listener(build, { type: 'joined', request: id })
        onJoin?.(build)
      }
      joined(key)
      return made
    }
    const made = known ?? (await flight())
    if (!background) deps.pulls.note(request, made)
    return made.image
  }

  return {
    get running() {
      return builds.size
    },
    get queued() {
      return queue.size
    },

    known(request) {
      const meant = draining ? undefined : deps.sets.current(request)
      const state = meant && deps.recipes.current(meant.request)
      if (!meant || state === undefined) return undefined
      const made = recent.current(keyOf(meant.request, meant.pinned, deps.layering(), state, generation()))
      if (!made) return undefined
      deps.onRemembered?.()
      deps.pulls.note(request, made)
      return made.image
    },

    async build(request, asked) {
      if (draining) throw stopping()
      let leave: AbortController | undefined
      const leaving = () => (leave ??= new AbortController())
      let key: string | undefined
      let told = false
      const expectBack = () => {
        if (key !== undefined && builds.expect(key, deps.retryLease * 1000)) left.add(key)
        if (key !== undefined) leaving().abort()
      }
      const gone = () => leaving().abort()
      const listen = () => {
        asked.signal?.addEventListener('abort', gone)
        if (asked.signal?.aborted) gone()
        return leaving().signal
      }
      const found = find(request, asked, listen, (joined) => {
        key = joined
        if (told) expectBack()
      })
      // Most images are in memory: only a request that waits needs a timer.
      const known = await soon(found)
      if (known) return known.value
      if (draining) throw stopping()
      const end = Promise.withResolvers<never>()
      const tellToComeBack = () => {
        told = true
        // The answer that says so may close the connection: that is not leaving.
        asked.signal?.removeEventListener('abort', gone)
        end.reject(stillBuilding(key === undefined ? undefined : ids.get(key)))
        expectBack()
      }
      const timer = asked.limit === undefined ? undefined : setTimeout(tellToComeBack, asked.limit)
      waiting.add(end.reject)
      try {
        return await Promise.race([found, end.promise])
      } finally {
        clearTimeout(timer)
        waiting.delete(end.reject)
        asked.signal?.removeEventListener('abort', gone)
      }
    },

    drain() {
      draining = true
      for (const reject of waiting) reject(stopping())
    },
  }
}

const stopping = () => new NixeryError('CANCELLED', 'the registry is stopping')

const stillBuilding = (build: string | undefined) =>
  new NixeryError('STILL_BUILDING', 'the image is still being built', {
    hint: 'pull again in a moment: the build goes on meanwhile',
    detail: { build },
  })
