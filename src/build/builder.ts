import { randomUUID } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { hasCode, NixeryError } from '../errors.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import type { Layer } from '../image/oci.ts'
import { isDerivationGone } from '../nix/realise.ts'
import { stateOf, type PackageSource, type PinnedSet } from '../packages/source.ts'
import { makeImage, type FlowDeps, type Layering, type Made } from './build.ts'
import type { BuildListener, Emit } from './events.ts'
import type { Image } from './image.ts'
import { layeringKey } from './layers.ts'
import { createRecent } from './recent.ts'
import type { Pulls } from './pulls.ts'
import { createFlights, type Start } from './single-flight.ts'

export type BuilderDeps = FlowDeps & {
  readonly source: PackageSource
  /** How layers are planned. Asked once for each build: popularity data may change while one is at work. */
  readonly layering: () => Layering
  readonly pulls: Pulls
  readonly listener: BuildListener
  /** Hears of each image that was answered from memory. */
  readonly onRemembered?: () => void
}

/** Who asks for an image, and how. */
export type Asked = {
  /** For the log. */
  readonly id: string
  /** Fires when the one who asks has left. */
  readonly signal?: AbortSignal
  /** Milliseconds to wait; the build goes on without the one who asked (STILL_BUILDING). */
  readonly limit?: number | undefined
  /** Made ahead of demand: after everything else, and not counted as pulled. */
  readonly background?: boolean
}

/** From a request to a published image. */
export type Builder = {
  /**
   * Equal requests that come while one is at work wait for the same build. A request that leaves (its signal
   * fires) does not end it while another waits, and none ends it once Nix has begun to realise.
   * @throws STILL_BUILDING past the limit, with `{ build }` in its detail; who comes back finds the same build, its
   *   image or its failure. CANCELLED when the registry stops. What a build throws is in `build.ts`
   */
  build(image: ImageRequest, asked: Asked): Promise<Image>
  /** Takes no more requests, and sends those away that wait. */
  drain(): void
  /** Builds at work. */
  readonly running: number
}

// Milliseconds for which a failure is remembered: for those who were told to come back longer than any client pauses; for
// all as long as one pull may take, in which Docker asks twice and podman up to four times.
const keptForComers = 120_000
const keptForAll = 10_000

/** Refusals, which are the same for as long as the revision is. */
const isRefusal = (error: unknown): boolean => hasCode(error, 'PACKAGE_UNKNOWN', 'PACKAGE_DENIED')

/** Failures of the package, which it has again when nothing changes. */
const isFinal = (error: unknown): boolean =>
  hasCode(error, 'BUILD_FAILED', 'BUILD_TIMEOUT', 'EVALUATION_TIMEOUT') && !isDerivationGone(error)

export function createBuilder(deps: BuilderDeps): Builder {
  const builds = createFlights<Made>()
  const packing = createFlights<Layer>()
  const recent = createRecent(deps.blobs)
  const ids = new Map<string, string>()
  const left = new Set<string>() // builds that somebody was told to come back for
  const failures = new LRUCache<string, { readonly error: unknown }>({ max: 1000 })
  const waiting = new Set<(reason: Error) => void>()
  let draining = false

  const start =
    (
      key: string,
      request: ImageRequest,
      pinned: PinnedSet,
      layering: Layering,
      background: boolean,
    ): Start<Made> =>
    async (abandoned, commit) => {
      const build = randomUUID()
      ids.set(key, build)
      const emit: Emit = (event) => deps.listener(build, event)
      const started = performance.now()
      emit({ type: 'started', image: formatImageName(request) })
      try {
        const context = { ...deps, layering, request, signal: abandoned, commit, emit, packing, background }
        const made = await makeImage(context, pinned)
        emit({ type: 'finished', digest: made.image.manifests.oci.digest, ms: performance.now() - started })
        recent.remember(key, made)
        return made
      } catch (error) {
        emit({ type: 'failed', error, ms: performance.now() - started })
        const kept = left.has(key) || isRefusal(error) ? keptForComers : isFinal(error) ? keptForAll : 0
        if (kept > 0) failures.set(key, { error }, { ttl: kept })
        throw error
      } finally {
        left.delete(key)
        if (ids.get(key) === build) ids.delete(key)
      }
    }

  const find = async (
    request: ImageRequest,
    { id, background = false }: Asked,
    signal: AbortSignal,
    joined: (key: string) => void,
  ): Promise<Image> => {
    const layering = deps.layering()
    let pinned = await deps.source.pin(request.tag, { old: true })
    let key = keyOfRequest(request, pinned, layering)
    let known = await recent.find(key)
    if (!known) {
      // Only what is known is answered for a set that may have changed meanwhile.
      pinned = await deps.source.pin(request.tag)
      key = keyOfRequest(request, pinned, layering)
      known = await recent.find(key)
    }
    if (known) deps.onRemembered?.()
    const failure = known ? undefined : failures.get(key)
    if (failure) throw failure.error
    const flight = () => {
      const made = builds.run(key, start(key, request, pinned, layering, background), signal)
      const build = ids.get(key)
      if (build) deps.listener(build, { type: 'joined', request: id })
      joined(key)
      return made
    }
    const made = known ?? (await flight())
    if (!background) deps.pulls.note(request, made.key)
    return made.image
  }

  return {
    get running() {
      return builds.size
    },

    async build(request, asked) {
      if (draining) throw stopping()
      const leave = new AbortController()
      const gone = () => leave.abort()
      asked.signal?.addEventListener('abort', gone)
      const end = Promise.withResolvers<never>()
      let key: string | undefined
      const tellToComeBack = () => {
        // From here on nobody leaves: the answer that says so closes the connection, too.
        asked.signal?.removeEventListener('abort', gone)
        if (key !== undefined) left.add(key)
        end.reject(stillBuilding(key === undefined ? undefined : ids.get(key)))
      }
      const timer = asked.limit === undefined ? undefined : setTimeout(tellToComeBack, asked.limit)
      waiting.add(end.reject)
      try {
        const found = find(request, asked, leave.signal, (joined) => (key = joined))
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

/** Equal for requests that give equal images. In memory only. */
function keyOfRequest(
  { platform, shell, packages }: ImageRequest,
  pinned: PinnedSet,
  layering: Layering,
): string {
  return JSON.stringify([stateOf(pinned), platform.system, shell, packages, layeringKey(layering)])
}

const stopping = () => new NixeryError('CANCELLED', 'the registry is stopping')

const stillBuilding = (build: string | undefined) =>
  new NixeryError('STILL_BUILDING', 'the image is still being built', {
    hint: 'pull again in a moment: the build goes on meanwhile',
    detail: { build },
  })
