import type { ErrorCode } from '../errors.ts'
import type { ImageRequest } from '../image/name.ts'
import type { EvaluatorsState } from '../nix/evaluators.ts'
import type { BuildEvent } from './events.ts'
import type { Image } from './image.ts'

/** How an image is wanted. Plain data. */
export type BuildOptions = {
  /** The caller's name for its request, for the log. */
  readonly requestId: string
  /**
   * Milliseconds that the caller waits. After that the result is STILL_BUILDING while the build goes on, and the caller
   * is expected to submit the same request again. Without a limit the caller waits for as long as it takes.
   */
  readonly limit?: number | undefined
  /** Made ahead of demand: after everything that clients wait for, and not counted as a pull. */
  readonly background?: boolean
  /** Requests that must be built from the same revision of the package set; all `size` of them have to be submitted. */
  readonly group?: { readonly id: string; readonly size: number } | undefined
}

/** A failure as plain data; without a code it is a bug, of which only the log says more. */
export type BuildFailure = {
  readonly code: ErrorCode | undefined
  readonly message: string
  readonly hint?: string | undefined
  readonly detail?: unknown
}

/** What happens in a build, as plain data. Lines are as Nix prints them: redact them before showing them to others. */
export type BuildUpdate =
  | Exclude<BuildEvent, { readonly type: 'failed' }>
  | { readonly type: 'failed'; readonly failure: BuildFailure; readonly ms: number }

/**
 * Builds images. Callers know nothing of its stages: joining equal requests, remembered failures, urgency, the queue and
 * progress are behind it. Only plain data crosses it, so an implementation may hand builds to other processes.
 */
export type Builds = {
  /** The image, counted as pulled, if it is known without waiting for anything. */
  known(request: ImageRequest): Image | undefined
  /**
   * Asks for an image. Equal requests share one build, which gets the urgency of the most urgent of them. It is
   * cancelled when every one of them is cancelled and no caller is expected back, unless Nix has begun to realise it.
   * The id is valid until two minutes after the request has ended.
   */
  submit(request: ImageRequest, options: BuildOptions): Promise<{ readonly id: string }>
  /**
   * What has happened so far in the build that serves a request, then what happens until it ends. Nothing for an image
   * that is known. Of a long build, the oldest events are dropped.
   * @throws an Error for an id that is not valid
   */
  events(id: string): AsyncIterable<BuildUpdate>
  /**
   * Waits for the image.
   * @throws STILL_BUILDING past the limit, with `{ build }` in its detail. OVERLOADED when too many builds wait already;
   *   known images and builds in progress are never refused. CANCELLED when the request is cancelled or the process
   *   stops. What a build throws is in `build.ts`. An Error for an id that is not valid
   */
  result(id: string): Promise<Image>
  /** The caller does not want the image any more. Does nothing for a request that has ended. */
  cancel(id: string): Promise<void>
}

/** A package set, as it is described. */
export type SetStatus = {
  /** Its name, if there are several. */
  readonly set: string | undefined
  readonly description: string
  readonly publicDescription?: string | undefined
}

/** What else a front end asks of the workers behind `Builds`. Plain data. */
export type WorkerStatus = {
  readonly nixVersion: string
  /** Where packages come from; for the public in other words, if there are any. The default set comes first. */
  readonly packages: readonly SetStatus[]
  /** Tags that the source of a request's packages has; undefined if it cannot list them. */
  tags(request: ImageRequest): Promise<readonly string[] | undefined>
  /** The revision of a package set that `latest` means now. @throws what pinning it does */
  revision(set: string | undefined): Promise<string>
  /** @throws if this part does not work, so that nothing can be built of it */
  check(part: 'nix' | 'packages', set?: string): Promise<void>
  load(): {
    /** Builds at work, and those of them that wait for Nix or for packing. */
    readonly running: number
    readonly queued: number
    /** Evaluators that are kept: their number, and what they take. */
    readonly evaluators: EvaluatorsState
  }
}

/** Waits for an image for a caller in this process: its request is cancelled when the signal fires. */
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
