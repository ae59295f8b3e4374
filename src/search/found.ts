import type { PackageEntry } from './entry.ts'
import type { Progress } from './fill.ts'

/** A question to a package set. */
export type Question = {
  /** The name of the package set; the first, if not given. */
  readonly set?: string | undefined
  /** Of what is longer than `longestQuery`, only the beginning counts. */
  readonly text: string
  /** Results to leave out, of those that are permitted. */
  readonly offset?: number
  readonly limit: number
  /** Whether a result may be shown; all are, if not given. */
  readonly permits?: ((entry: PackageEntry) => boolean) | undefined
  /** Whether a set without an index gets one, for which it is evaluated; it does, if not given. */
  readonly mayMake?: boolean
}

export type Found = {
  readonly set: string | undefined
  /** `making`: the first index of the set is being made. `unavailable`: that failed and is tried again later, or the client may not build one. */
  readonly state: 'ready' | 'making' | 'unavailable'
  /** Of the package set that the results are of; undefined without an index. */
  readonly revision: string | undefined
  /** How many packages the index has, also those that may not be shown. */
  readonly packages: number
  /** Of the index that is being made, if one is. */
  readonly progress: Progress | undefined
  readonly results: readonly PackageEntry[]
  /** Whether there are further results. */
  readonly more: boolean
}

/** Searches the packages of package sets, by indexes that are made in the background. */
export type Search = {
  /** The names of the sets, the first first. */
  readonly sets: readonly (string | undefined)[]
  /** Returns at once. A set without an index gets one, if that may be. @returns undefined if there is no such set */
  find(question: Question): Found | undefined
  /** A package by its name in images, if there is an index that has it. */
  get(set: string | undefined, name: string): PackageEntry | undefined
  /** Names that may be meant by one that does not exist: of packages with such a program, or in a nested set. */
  hints(set: string | undefined, name: string): string[]
  /** Makes the index of a set, unless it is up to date. @throws why that fails */
  refresh(set: string | undefined): Promise<void>
  close(): Promise<void>
}
