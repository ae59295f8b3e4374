import type { Digest } from '../image/digest.ts'

/** What happens in a build, for whoever wants to show or count it. Times are milliseconds. */
export type BuildEvent =
  | { readonly type: 'started'; readonly image: string }
  /** A request waits for the build, the one that began it included. */
  | { readonly type: 'joined'; readonly request: string }
  | {
      readonly type: 'resolved'
      readonly packages: readonly string[]
      /** Names that were looked up, and those of them that Nix was asked for. */
      readonly names: number
      readonly evaluated: number
      readonly ms: number
    }
  | { readonly type: 'warning'; readonly message: string }
  /** A line of what Nix says while it works. */
  | { readonly type: 'nix'; readonly line: string }
  | { readonly type: 'realised'; readonly paths: number; readonly narBytes: number; readonly ms: number }
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
