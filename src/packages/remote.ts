import { NixeryError, SourceLacks } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import type { FetchedSources } from './fetched.ts'
import type { Queue } from './queue.ts'
import type { PinnedSet } from './source.ts'

/** What is brought into the store: a tarball, or a commit of a mirror. */
export type Sources = { readonly tarball: string } | { readonly mirror: string; readonly commit: string }

/** A copy of a git repository; `src/nix/mirror.ts` has the meaning of each part. */
export type MirrorPlace = {
  readonly folder: string
  readonly url: string
  readonly refs: readonly string[]
  readonly commitsOnly: boolean
}

/** A flake in the store; `src/nix/flake.ts` has the meaning of each part. */
export type FlakeInStore = {
  readonly url: string
  readonly revision: string
  readonly paths: readonly StorePath[]
  readonly warning?: string
  readonly commit?: { readonly id: string; readonly seconds: number }
}

/** How sources get what they need from Nix and git. Each call may start a process; how many run is bounded. */
export type Fetcher = {
  /** Brings sources into the store and keeps them there by the root that belongs to their path. */
  fetch(sources: Sources, rootOf: (path: StorePath) => string): Promise<StorePath>
  /** Brings a flake and its inputs into the store and keeps them there, each by the root of its path. */
  lockFlake(reference: string, rootOf: (path: StorePath) => string): Promise<FlakeInStore>
  /** Commits by ref. @param narrow whether branches and tags are enough */
  remoteRefs(url: string, narrow: boolean): Promise<ReadonlyMap<string, string>>
  updateMirror(mirror: MirrorPlace): Promise<void>
  /** Joins the packs of a mirror; whoever calls it waits for nothing. */
  tidyMirror(folder: string): Promise<void>
  /** Commits by ref, as of the last update. */
  mirrorRefs(folder: string): Promise<ReadonlyMap<string, string>>
  /** Refs from which a commit is reached, as of the last update. */
  refsReaching(folder: string, commit: string): Promise<readonly string[]>
  /** When a commit of a mirror was made: seconds since 1970. */
  commitTime(folder: string, commit: string): Promise<number>
}

export type RemoteOptions = {
  readonly fetcher: Fetcher
  readonly fetched: FetchedSources
  /** Patterns of refs that count (`NIXERY_REFS`). */
  readonly allowed: readonly string[]
  /** Folder of mirrors. */
  readonly mirrorsDirectory: string
  /** Milliseconds for which a moving name keeps its meaning. */
  readonly ttl: number
  /** Bounds the fetches that strangers cause by naming tags. @throws OVERLOADED */
  readonly fetches: Queue
  /** Bounds looks at a mirror. @throws OVERLOADED */
  readonly queries: Queue
  /** Whether images tell of the commit that they are from (`NIXERY_CREATED=revision`). */
  readonly tellsCommits?: boolean
  readonly note: (line: string) => void
}

/** A set in the store: its path is its revision, and does not change. */
export const inStore = (folder: StorePath): PinnedSet => ({
  set: { folder },
  revision: folder,
  unchanged: () => Promise.resolve(true),
})

/** The same for every tag that means nothing, so that nobody learns which commits exist somewhere. */
export const unknownTag = (cause?: unknown): NixeryError =>
  new NixeryError('MANIFEST_UNKNOWN', 'this registry has no such channel, branch, tag or commit', { cause })

/** Makes a source that can be reached, and lacks what a tag names, an unknown tag. */
export async function orUnknown<T>(fetched: Promise<T>): Promise<T> {
  try {
    return await fetched
  } catch (error) {
    throw error instanceof SourceLacks ? unknownTag(error) : error
  }
}

/** An address without a user's name and password. */
export const withoutCredentials = (url: string): string => url.replace(/:\/\/[^/@\s]+@/, '://')
