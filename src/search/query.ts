import type { PackageEntry } from './entry.ts'

/** The progress of an index. */
export type Progress = {
  /** The number of names at the top level of the package set. */
  readonly done: number
  readonly all: number
  readonly packages: number
}

/** A search in a package set. */
export type Question = {
  /** The name of the package set; by default the first. */
  readonly set?: string | undefined
  /** Only the first `longestQuery` units are used. */
  readonly text: string
  /** The number of permitted results to skip. */
  readonly offset?: number
  readonly limit: number
  /** Whether a result may be shown; by default, all may. */
  readonly permits?: ((entry: Pick<PackageEntry, 'name'>) => boolean) | undefined
  /** Whether to build the index of a set that has none, which evaluates the set; true by default. */
  readonly mayMake?: boolean
}

export type SearchResult = {
  readonly set: string | undefined
  /**
   * `making`: the first index of the set is being built. `unavailable`: building it failed and will be retried later,
   * or the client may not build one.
   */
  readonly state: 'ready' | 'making' | 'unavailable'
  /** The revision of the package set that the results come from; undefined without an index. */
  readonly revision: string | undefined
  /** The number of packages in the index, including those that may not be shown. */
  readonly packages: number
  /** The progress of the index being built, if any. */
  readonly progress: Progress | undefined
  readonly results: readonly PackageEntry[]
  /** Whether there are more results. */
  readonly more: boolean
}

/** Searches the packages of package sets with indexes that are built in the background. */
export type Search = {
  /** The names of the sets, the default first. */
  readonly sets: readonly (string | undefined)[]
  /**
   * Does not wait for an index, but starts building a missing one, if permitted. Does not block the process for long.
   * @returns undefined if the set does not exist
   */
  find(question: Question): Promise<SearchResult | undefined>
  /** Looks up a package by its name in images, if an index contains it. */
  get(set: string | undefined, name: string): PackageEntry | undefined
  /**
   * Suggests names for one that does not exist: packages with a program of that name, or with that name in a nested
   * set.
   */
  hints(set: string | undefined, name: string): string[]
  /** Builds the index of a set, unless it is up to date. @throws if that fails */
  refresh(set: string | undefined): Promise<void>
  close(): Promise<void>
}
