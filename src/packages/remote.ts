import { NixeryError, SourceLacks } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import type { FetchedSources } from './fetched.ts'
import type { Queue } from './queue.ts'
import type { CommitOfHistory, PinnedSet } from './source.ts'

/** Sources to fetch into the store: a tarball, or a commit of a mirror. */
export type Sources = { readonly tarball: string } | { readonly mirror: string; readonly commit: string }

/** A copy of a git repository; `src/nix/mirror.ts` documents the fields. */
export type MirrorPlace = {
  readonly folder: string
  readonly url: string
  readonly refs: readonly string[]
  readonly commitsOnly: boolean
}

/** A flake in the store; `src/nix/flake.ts` documents the fields. */
export type FlakeInStore = {
  readonly url: string
  readonly revision: string
  readonly paths: readonly StorePath[]
  readonly warning?: string
  readonly commit?: { readonly id: string; readonly seconds: number }
}

/** What sources need from Nix and git. Each call may start a process; the number of processes is bounded. */
export type Fetcher = {
  /** Fetches sources into the store, and protects them with the root for their path. */
  fetch(sources: Sources, rootOf: (path: StorePath) => string): Promise<StorePath>
  /** Fetches a flake and its inputs into the store, and protects each with the root for its path. */
  lockFlake(reference: string, rootOf: (path: StorePath) => string): Promise<FlakeInStore>
  /** Commits by ref. @param narrow whether branches and tags are enough */
  remoteRefs(url: string, narrow: boolean): Promise<ReadonlyMap<string, string>>
  updateMirror(mirror: MirrorPlace): Promise<void>
  /** Combines the packs of a mirror. Call it when no client is waiting. */
  tidyMirror(folder: string): Promise<void>
  /** Commits by ref, as of the last update. */
  mirrorRefs(folder: string): Promise<ReadonlyMap<string, string>>
  /** Refs that reach a commit, as of the last update. */
  refsReaching(folder: string, commit: string): Promise<readonly string[]>
  /** The time of a commit of a mirror in seconds since 1970. */
  commitTime(folder: string, commit: string): Promise<number>
  /** Commits of a mirror from one back along first parents; `src/nix/mirror.ts` documents the range. */
  commitLog(
    folder: string,
    range: { readonly newest: string; readonly back: string | number },
  ): Promise<readonly CommitOfHistory[]>
}

export type RemoteOptions = {
  readonly fetcher: Fetcher
  readonly fetched: FetchedSources
  /** Patterns of allowed refs (`NIXERY_REFS`). */
  readonly allowed: readonly string[]
  /** Folder of mirrors. */
  readonly mirrorsDirectory: string
  /** Milliseconds for which a resolved moving name is valid. */
  readonly ttl: number
  /** Bounds the fetches that clients cause with tags. @throws OVERLOADED */
  readonly fetches: Queue
  /** Bounds queries of mirrors. @throws OVERLOADED */
  readonly queries: Queue
  /** Whether images name the commit that they are built from (`NIXERY_CREATED=revision`). */
  readonly tellsCommits?: boolean
  readonly note: (line: string) => void
}

/** A set in the store: its path is its revision, and does not change. */
export const inStore = (path: StorePath, { onDisk }: Pick<FetchedSources, 'onDisk'>): PinnedSet => ({
  set: { folder: onDisk(path) },
  revision: path,
  unchanged: () => Promise.resolve(true),
})

/** The same error for every unknown tag, so that it does not reveal which commits exist elsewhere. */
export const unknownTag = (cause?: unknown): NixeryError =>
  new NixeryError('MANIFEST_UNKNOWN', 'this registry has no such channel, branch, tag or commit', { cause })

/** Turns the failure of a reachable source that lacks a tag into an unknown tag. */
export async function orUnknown<T>(fetched: Promise<T>): Promise<T> {
  try {
    return await fetched
  } catch (error) {
    throw error instanceof SourceLacks ? unknownTag(error) : error
  }
}

/** A URL without user name and password. */
export const withoutCredentials = (url: string): string => url.replace(/:\/\/[^/@\s]+@/, '://')
