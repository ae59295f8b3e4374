import type { Digest } from '../image/digest.ts'

/** A search index of a package set, as a compressed file in the store. */
export type SearchIndex = {
  /** The digest of the compressed file. */
  readonly digest: Digest
  /** The size of the compressed file in bytes. */
  readonly size: number
  /** Identifies the rules by which packages are in the index. */
  readonly rules: string
  /** The revision of the package set. */
  readonly revision: string
}

/** A package set for which an index is wanted. */
export type SearchSet<T> = {
  /** Identifies the rules in force; undefined until a process that makes indexes has declared them. */
  readonly rules: string | undefined
  /** The index that was added last, perhaps by other rules than those in force. */
  readonly latest: SearchIndex | undefined
  /** The report of the process that makes the next index, if any. */
  readonly status: T | undefined
}

/**
 * The search indexes that processes share. Indexes of one format are not visible in another: `format` is the version of
 * the files. All methods fail with STORE_UNAVAILABLE when the database fails, so that a failure is not mistaken for a
 * missing index.
 */
export type SearchIndexes = {
  /** The sets for which an index is wanted, by name; a single set has the empty name. */
  sets<T>(format: number, parse: (text: string) => T | undefined): Promise<Map<string, SearchSet<T>>>
  /** Records that an index is wanted, now. @param rules those in force, if the caller knows them */
  want(format: number, set: string, rules?: string): Promise<void>
  /** Replaces the report about a wanted set. @param status undefined removes it */
  report(format: number, set: string, status: object | undefined): Promise<void>
  /** Adds an index, which replaces the others of the set, and removes the report. */
  add(format: number, set: string, index: SearchIndex): Promise<void>
  /** Removes indexes of any set and format. */
  forget(digests: readonly Digest[]): Promise<void>
  /** The digests of all indexes, of any set and format. */
  digests(): Promise<Digest[]>
  /**
   * The digests of indexes that can be deleted: replaced for at least `replaced` seconds, or of a set and format that
   * no process has used for at least `unwanted` seconds.
   */
  unneeded(replaced: number, unwanted: number): Promise<Digest[]>
}
