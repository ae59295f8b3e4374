import type { Digest } from '../image/digest.ts'
import type { IndexFacts } from './index-file.ts'
import type { Progress } from './query.ts'

/** An index that a process has made for all, as a compressed file in a store. */
export type SharedIndex = Pick<IndexFacts, 'revision' | 'rules'> & {
  readonly digest: Digest
  readonly size: number
}

/** The progress of the process that makes an index, or its failure. */
export type MakingStatus = { readonly progress?: Progress } | { readonly failed: true }

/** The state of a set's index, shared between processes. */
export type SharedSet = {
  /** The rules in force: an index by other rules must not be searched. Undefined while they are not known. */
  readonly rules: string | undefined
  readonly latest: SharedIndex | undefined
  readonly status: MakingStatus | undefined
}

/** The indexes that processes share, in the format of this version. Sets without a name have the empty one. */
export type SharedIndexes = {
  /** The sets for which an index is wanted. @throws STORE_UNAVAILABLE */
  sets(): Promise<ReadonlyMap<string, SharedSet>>
  /** Records that an index is wanted. @param rules those in force, from a process that makes indexes */
  want(set: string, rules?: string): Promise<void>
  report(set: string, status: MakingStatus): Promise<void>
  /**
   * Writes an index to a new file, if the store has its bytes; otherwise it is no longer the latest.
   * @returns whether it was written
   * @throws STORE_UNAVAILABLE when the store does not respond, so that it may have it; UnusableIndex; errors of the file;
   * the signal's reason
   */
  fetch(index: SharedIndex, file: string, signal: AbortSignal): Promise<boolean>
  /** An index whose bytes are complete cannot be used, so it is no longer the latest. @throws STORE_UNAVAILABLE */
  discard(index: SharedIndex): Promise<void>
  /** Stores a file as the latest index of a set. @throws STORE_UNAVAILABLE, STORE_FULL, the signal's reason */
  publish(
    set: string,
    file: string,
    facts: Pick<SharedIndex, 'revision' | 'rules'>,
    signal: AbortSignal,
  ): Promise<void>
}

/** Whether the last attempt to make an index failed. */
export const hasFailed = (known: SharedSet | undefined): boolean =>
  known?.status !== undefined && 'failed' in known.status

type Facts = Pick<SharedIndex, 'revision' | 'rules'>

/** Whether two indexes have the same packages, although their files may differ. */
export const isSame = <One extends Facts>(one: One | undefined, other: Facts | undefined): one is One =>
  one !== undefined && one.revision === other?.revision && one.rules === other.rules

/** Parses a status; undefined if this version cannot read it. */
export function parseStatus(text: string): MakingStatus | undefined {
  const { failed, progress } = JSON.parse(text) as { failed?: unknown; progress?: Partial<Progress> }
  if (failed === true) return { failed }
  const { done, all, packages } = progress ?? {}
  if (typeof done !== 'number' || typeof all !== 'number' || typeof packages !== 'number') return {}
  return { progress: { done, all, packages } }
}
