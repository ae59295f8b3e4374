import type { Progress } from './query.ts'
import type { SetIndex } from './set-index.ts'

/** Where the index of a set comes from: this process makes it, or gets one that another process has made. */
export type Supply = {
  /** Called when the set is searched without an index: gets one in the background. */
  want(): void
  /** Whether an index is being made. */
  isMaking(): boolean
  /** How far that is, if it is known. */
  progress(): Progress | undefined
  /** Gets the index, unless it is up to date, and waits for it. @throws if that fails */
  refresh(): Promise<void>
}

/** A package set that can be searched. */
export type SearchableSet = { readonly index: SetIndex; readonly supply: Supply }
