import type { ErrorCode } from '../errors.ts'
import type { ImageRequest } from '../image/name.ts'
import type { EvaluatorsState } from '../nix/evaluators.ts'
import type { RevisionAge } from '../packages/revision-ages.ts'
import type { BuildEvent } from './events.ts'
import type { Image } from './image.ts'
import type { MayStart } from './admission.ts'
import type { QueuedBy } from './queue.ts'

/** Options of a request, as plain data but for a function that is called in this process. */
export type BuildOptions = {
  /** The caller's name for its request, for the log. */
  readonly requestId: string
  /** The span of another process that caused the request, as in the W3C's header; it may be of any form. */
  readonly traceparent?: string | undefined
  /**
   * How long the caller waits, in milliseconds; unlimited by default. After that the result is STILL_BUILDING, the build
   * continues, and the caller is expected to submit the same request again.
   */
  readonly limit?: number | undefined
  /** Whether this is built ahead of demand: after everything that clients wait for, and not counted as a pull. */
  readonly background?: boolean
  /** Only return an existing image: nothing is evaluated, fetched, realised or packed for the caller. */
  readonly readyOnly?: boolean
  /**
   * Called before a build is started for this request: not for one that is served from memory, or joins a build. If it
   * throws, an image that exists is returned as with `readyOnly`; without one, the request fails with that error.
   */
  readonly mayStart?: MayStart | undefined
  /** The id of the build if this request starts it; a random one if not given. */
  readonly build?: string
  /** The group of requests that must be built from the same revision; all `size` requests must be submitted. */
  readonly group?: { readonly id: string; readonly size: number } | undefined
}

/** A failure as plain data. Without a code it is a bug, and only the log has details. */
export type BuildFailure = {
  readonly code: ErrorCode | undefined
  readonly message: string
  readonly hint?: string | undefined
  readonly detail?: unknown
}

/** An event of a build, as plain data. Lines of Nix are unchanged, so redact them before showing them. */
export type BuildUpdate =
  | Exclude<BuildEvent, { readonly type: 'failed' }>
  | { readonly type: 'failed'; readonly failure: BuildFailure; readonly ms: number }

/**
 * Builds images. It hides the stages of a build, joining of equal requests, remembered failures, urgency, the queue and
 * progress. Only plain data crosses this interface, so an implementation can pass builds to other processes.
 */
export type Builds = {
  /** Returns the image, and counts a pull, if it is known and nothing has to be checked. */
  known(request: ImageRequest): Image | undefined
  /**
   * Requests an image. Equal requests share one build with the urgency of the most urgent one. The build is cancelled when
   * all of them are cancelled and no caller is expected back, unless Nix has started to realise. The id is valid until two
   * minutes after the request has ended.
   */
  submit(request: ImageRequest, options: BuildOptions): Promise<{ readonly id: string }>
  /**
   * Yields all events of the build that serves a request, from its start to its end; none for a known image. If the build
   * ends without an answer, for example because the package set has changed, those of the next one follow. The oldest
   * events of a long build are dropped.
   * @throws an Error for an invalid id
   */
  events(id: string): AsyncIterable<BuildUpdate>
  /**
   * Waits for the image.
   * @throws STILL_BUILDING after the limit, with `{ build }` in its detail. OVERLOADED when too many builds are waiting;
   *   requests for known images and builds in progress are never refused. CANCELLED when the request is cancelled or the
   *   process stops. For the errors of builds, see `build.ts`. An Error for an invalid id
   */
  result(id: string): Promise<Image>
  /** Cancels a request, unless it has ended. */
  cancel(id: string): Promise<void>
}

/** The description of a package set. */
export type SetStatus = {
  /** The name of the set, if there are several. */
  readonly set: string | undefined
  readonly description: string
  readonly publicDescription?: string | undefined
}

/** The state of the workers behind `Builds`, for the front end. Plain data. */
export type WorkerStatus = {
  readonly nixVersion: string
  /** Where packages come from, and how to describe it in public if that differs. The default set comes first. */
  readonly packages: readonly SetStatus[]
  /** The tags of the source of a request's packages; undefined if it cannot list them. */
  tags(request: ImageRequest): Promise<readonly string[] | undefined>
  /** The current revision of `latest` in a package set. @throws the errors of pinning it */
  revision(set: string | undefined): Promise<string>
  /**
   * The packages of the operator's recipes in a request, by the recipe's name.
   * @param mayEvaluate whether the package set may be evaluated for that
   * @throws RECIPE_UNKNOWN, NOT_READY if it may not be evaluated, and what finding recipes throws
   */
  recipePackages(request: ImageRequest, mayEvaluate: boolean): Promise<ReadonlyMap<string, readonly string[]>>
  /** Checks a component that builds need; undefined if other processes run the builds. @throws if it does not work */
  readonly check?: (part: 'nix' | 'packages', set?: string) => Promise<void>
  load(): {
    /** The number of builds, and of those that wait for Nix or packing. */
    readonly running: number
    readonly queued: number
    /** The latter by urgency. */
    readonly queuedBy: QueuedBy
    /** The evaluator processes and their memory. */
    readonly evaluators: EvaluatorsState
    /** How old the package sets are. */
    readonly revisions: readonly RevisionAge[]
  }
}

/** Submits a request and waits for its image. The request is cancelled when the signal fires. */
export async function buildImage(
  builds: Pick<Builds, 'submit' | 'result' | 'cancel'>,
  request: ImageRequest,
  { signal, ...options }: BuildOptions & { readonly signal?: AbortSignal },
): Promise<Image> {
  const { id } = await builds.submit(request, options)
  const leave = () => void builds.cancel(id)
  signal?.addEventListener('abort', leave)
  if (signal?.aborted) leave()
  try {
    return await builds.result(id)
  } finally {
    signal?.removeEventListener('abort', leave)
  }
}
