import type { CommitFacts } from '../image/labels.ts'

/** A package set at one revision, which is part of the keys of everything built from it. */
export type PinnedSet = {
  /** Its folder, or the flake that provides it. */
  readonly set: { readonly folder: string } | { readonly flake: string }
  readonly revision: string
  /** The name of the package set, if there are several. */
  readonly name?: string
  /**
   * The current state of the set, if a revision may reappear (a checkout that is edited and reverted). Changes with every
   * change and is never reused. `stateOf` is the key for in-memory caches.
   */
  readonly state?: string
  /** The commit that the package set is, if any. */
  readonly origin?: {
    readonly commit: string
    /** The time of the commit in seconds since 1970. @throws SOURCE_UNREACHABLE, OVERLOADED */
    time(): Promise<number>
  }
  /** The commit that images name (`NIXERY_CREATED=revision`). */
  readonly commit?: CommitFacts | undefined
  /**
   * Whether the folder is still at this revision, so that results of reading it may be stored. Takes as long as reading
   * the whole folder, so no pull should wait for it.
   */
  unchanged(): Promise<boolean>
}

/** A source of packages. */
export type PackageSource = {
  /** A description for people: kind and location. */
  readonly description: string
  /** A description for clients, if the other one names a place on this machine. */
  readonly publicDescription?: string
  /**
   * Pins the package set that an image's tag stands for.
   * @param options.old accepts a result that is a few seconds old, if it is available immediately
   * @throws MANIFEST_UNKNOWN for an unknown tag, SOURCE_INVALID if there is no package set, SOURCE_UNREACHABLE if the
   *   source is unreachable and no earlier revision is available
   */
  pin(tag: string, options?: { readonly old?: boolean }): Promise<PinnedSet>
  /**
   * The result of `pin` with `old` if it is known without any check, for callers that must not wait. Undefined if a check
   * is due or the source does not support this.
   */
  current?(tag: string): PinnedSet | undefined
  /**
   * Checks whether images can be built from `latest`, as far as that is known without much work.
   * @throws SOURCE_INVALID, SOURCE_UNREACHABLE, MANIFEST_UNKNOWN
   */
  usable(): Promise<void>
  /** Its commits, each of which is a valid tag, if it is a repository. */
  readonly history?: History | undefined
  /** The existing tags; undefined if every tag that can be resolved is valid. */
  tags(): Promise<readonly string[] | undefined>
}

/** A commit and its time in seconds since 1970. */
export type CommitOfHistory = { readonly commit: string; readonly at: number }

/** The commits of a package set. */
export type History = {
  /** Identifies the repository, without credentials. */
  readonly id: string
  /**
   * The commits from `latest` back along first parents, newest first.
   * @param back where to end: a tag as in an image's name, 7 or more first digits of a commit, or seconds since 1970
   * @throws MANIFEST_UNKNOWN for an unknown tag, SOURCE_UNREACHABLE
   */
  commits(back: string | number): Promise<readonly CommitOfHistory[]>
}

/** The key of a pinned set for in-memory caches. */
export const stateOf = ({ revision, state }: PinnedSet): string =>
  state === undefined || state === revision ? revision : `${revision} ${state}`
