import type { MayStart } from './admission.ts'
import type { OneRevision } from './one-revision.ts'

/** The caller of `build`. */
export type Caller = {
  /** The id of its request, for the log. */
  readonly id: string
  /** See `BuildOptions`. */
  readonly traceparent?: string | undefined
  /** Fires when the caller disconnects. */
  readonly signal?: AbortSignal
  /** How long the caller waits, in milliseconds. Then it gets STILL_BUILDING, while the build continues. */
  readonly limit?: number | undefined
  /** Builds the image ahead of demand: after all other builds, and not counted as a pull. */
  readonly background?: boolean
  /** Only return existing images; others fail with NOT_READY, whether they can be built or not. */
  readonly readyOnly?: boolean
  /** Called before a build is started for this caller; see `BuildOptions`. */
  readonly mayStart?: MayStart | undefined
  /** Called with the id of the build that serves the request, if one is needed. */
  readonly onJoin?: (build: string) => void
  /** Returns the id of the build if this request starts it; a random one by default. */
  readonly build?: () => string
  /** Shared with the other images that must be built from the same revision. */
  readonly together?: OneRevision
}
