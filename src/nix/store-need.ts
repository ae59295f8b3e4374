import type { SetReference } from './restriction.ts'

/** How an evaluation in a separate process uses the Nix store. */
export type StoreUse = {
  readonly set: SetReference
  /** Write nothing to the Nix store, and fail if the evaluation needs one. */
  readonly storeless?: boolean | undefined
}

/**
 * Options for `nix-instantiate --eval`. By itself, it computes store paths and writes nothing, except what evaluation
 * fetches. A flake is read from the store that has its sources; for everything else there is no store at all.
 */
export const storeOptions = ({ set, storeless = false }: StoreUse): string[] =>
  storeless ? ('flake' in set ? [] : ['--store', 'dummy://']) : ['--read-write-mode']

// Messages of Nix 2.8 to 2.34: reading a path that evaluation would have written or built (libstore/store-api.cc), writing
// to `dummy://`, and building (libexpr/primops.cc).
const needs = [
  /path '[^']*' is not valid/,
  /operation '\w+' is not supported by store 'dummy/,
  /cannot build '[^']*' during evaluation because the option 'allow-import-from-derivation' is disabled/,
]

/** The part of an error message that shows that evaluation needs a Nix store: to fetch, build, or read what it has written. */
export const needOfStore = (message: string): string | undefined =>
  needs.map((need) => need.exec(message)?.[0]).find((found) => found !== undefined)
