import type { Digest } from '../image/digest.ts'
import { formatImageName, type ImageRequest } from '../image/name.ts'
import type { StorePath } from '../image/store-path.ts'

/** The first event of a build. */
export const startOf = (request: ImageRequest): Extract<BuildEvent, { type: 'started' }> => ({
  type: 'started',
  image: formatImageName(request),
  platform: request.platform.architecture,
})

/** An event of a build. Times are in milliseconds. */
export type BuildEvent =
  /** `platform` is the architecture of the image; missing in events that an earlier version stored. */
  | { readonly type: 'started'; readonly image: string; readonly platform?: string }
  /** A request waits for the build, including the one that started it. For `traceparent` see `BuildOptions`. */
  | { readonly type: 'joined'; readonly request: string; readonly traceparent?: string | undefined }
  /** Names are looked up in the package set, whether that succeeds or not. */
  | { readonly type: 'evaluating'; readonly names: number }
  | {
      readonly type: 'resolved'
      /** The package set, if there are several. */
      readonly set?: string
      readonly packages: readonly string[]
      /** The numbers of names that were looked up, and of those that were evaluated. */
      readonly names: number
      readonly evaluated: number
      readonly ms: number
    }
  | {
      readonly type: 'warning'
      readonly message: string
      /** The binary cache that failed. */
      readonly cache?: string
    }
  /** A line of Nix's output. */
  | { readonly type: 'nix'; readonly line: string }
  /** The paths are available: Nix has built or fetched them, or binary caches have them. */
  | {
      readonly type: 'realised'
      readonly origin?: 'caches'
      readonly paths: number
      readonly narBytes: number
      readonly ms: number
    }
  /** The total number of bytes downloaded from binary caches so far. */
  | { readonly type: 'downloading'; readonly bytes: number }
  /** A path was downloaded from a binary cache. */
  | {
      readonly type: 'downloaded'
      readonly cache: string
      readonly path: StorePath
      readonly bytes: number
      readonly ms: number
    }
  | { readonly type: 'planned'; readonly layers: number; readonly known: number }
  | {
      readonly type: 'packed'
      readonly digest: Digest
      readonly size: number
      readonly paths: number
      /** The number of paths that were copied from other layers. */
      readonly copied: number
      readonly ms: number
    }
  | { readonly type: 'finished'; readonly digest: Digest; readonly ms: number }
  | { readonly type: 'failed'; readonly error: unknown; readonly ms: number }

/** Receives the events of all builds, with the build's id. Must not throw. */
export type BuildListener = (build: string, event: BuildEvent) => void

/** The events of one build. */
export type Emit = (event: BuildEvent) => void
