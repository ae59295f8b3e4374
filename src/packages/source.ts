import type { CommitFacts } from '../image/labels.ts'

/** A package set at one revision: what everything made from it is keyed by. */
export type PinnedSet = {
  /** Its folder, or the flake that it is an output of. */
  readonly set: { readonly folder: string } | { readonly flake: string }
  readonly revision: string
  /**
   * What the set is now, if a revision may come again (a checkout that is edited and put back): this text changes
   * with every change, and never comes again. What is kept in memory is keyed by `stateOf`.
   */
  readonly state?: string
  /** The commit that images are to tell of (`NIXERY_CREATED=revision`). */
  readonly commit?: CommitFacts | undefined
  /**
   * Whether the folder has been that revision until now: what was read from it since it was pinned may be remembered.
   * Takes as long as reading the whole folder; nobody who pulls should wait for it.
   */
  unchanged(): Promise<boolean>
}

/** Where packages come from. */
export type PackageSource = {
  /** For people: what and where. */
  readonly description: string
  /** The same for those who pull, where it names a place on this machine. */
  readonly publicDescription?: string
  /**
   * Pins what an image's tag means.
   * @param options.old whether an answer that is out of date by a few seconds will do, if it comes at once
   * @throws MANIFEST_UNKNOWN for a tag that means nothing, SOURCE_INVALID when there is no package set,
   *   SOURCE_UNREACHABLE when it cannot be asked for and was never seen
   */
  pin(tag: string, options?: { readonly old?: boolean }): Promise<PinnedSet>
  /**
   * What `pin` with `old` gives, where that is known without a look at anything: for callers that must not wait.
   * Undefined when it is time for a look, and where a source cannot say.
   */
  current?(tag: string): PinnedSet | undefined
  /**
   * Whether images can be made of `latest`, as far as that is known without much work.
   * @throws SOURCE_INVALID, SOURCE_UNREACHABLE, MANIFEST_UNKNOWN
   */
  usable(): Promise<void>
  /** The tags that there are; undefined where any that can be resolved will do. */
  tags(): Promise<readonly string[] | undefined>
}

/** What keys what is known of a pinned set in memory. */
export const stateOf = ({ revision, state }: PinnedSet): string =>
  state === undefined || state === revision ? revision : `${revision} ${state}`
