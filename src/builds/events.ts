import type { Digest } from '../image/digest.ts'
import type { StorePath } from '../image/store-path.ts'

/** What happens in a build, for whoever wants to show or count it. Times are milliseconds. */
export type BuildEvent =
  | { readonly type: 'started'; readonly image: string }
  /** A request waits for the build, the one that began it included. */
  | { readonly type: 'joined'; readonly request: string }
  | {
      readonly type: 'resolved'
      /** The package set, if there are several. */
      readonly set?: string
      readonly packages: readonly string[]
      /** Names that were looked up, and those of them that Nix was asked for. */
      readonly names: number
      readonly evaluated: number
      readonly ms: number
    }
  | {
      readonly type: 'warning'
      readonly message: string
      /** The binary cache that has failed. */
      readonly cache?: string
    }
  /** A line of what Nix says while it works. */
  | { readonly type: 'nix'; readonly line: string }
  /** The paths are there: Nix has made or fetched them, or binary caches were found to have them. */
  | {
      readonly type: 'realised'
      readonly origin?: 'caches'
      readonly paths: number
      readonly narBytes: number
      readonly ms: number
    }
  /** Bytes that have come from binary caches, all since the paths were found; not told of each. */
  | { readonly type: 'downloading'; readonly bytes: number }
  /** A path has come from a binary cache, in so many bytes. */
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
      /** Paths that were compressed before, for another layer. */
      readonly copied: number
      readonly ms: number
    }
  | { readonly type: 'finished'; readonly digest: Digest; readonly ms: number }
  | { readonly type: 'failed'; readonly error: unknown; readonly ms: number }

/** Gets the events of all builds; `build` tells them apart. Must not throw. */
export type BuildListener = (build: string, event: BuildEvent) => void

/** The events of one build. */
export type Emit = (event: BuildEvent) => void
