import { isNixeryError } from '../errors.ts'
import type { Nix } from './nix.ts'
import { needOfStore } from './store-need.ts'

type Evaluations = Pick<Nix, 'evaluate' | 'evaluateImage' | 'listVersions'>

/**
 * Evaluates one package set without writing to the Nix store, as long as the set permits it. The first lookup runs in a
 * process without any store, so that it fails if the set fetches or builds something; from then on, processes that are
 * kept write derivations to their own store (see `scratch-store.ts`). When an evaluation needs the Nix store, this and
 * all later ones of the set use it. Lookups with `instantiated` always do.
 * @param nix evaluates; without `storeless`, it writes to the store
 * @param store the store that is used if the set needs one, for the log
 * @param note receives a line with the chosen way of evaluation, and another one if it changes
 */
export function evaluateStoreless(
  nix: Evaluations,
  store: string,
  note: (line: string) => void,
): Evaluations {
  let isDecided = false
  let needsStore = false
  const works = () => {
    if (!isDecided && !needsStore) note('evaluation writes nothing to the Nix store')
    isDecided = true
  }
  const needs = (reason: string) => {
    if (!needsStore) note(`evaluation needs a store, and writes to ${store} from now on: ${reason}`)
    needsStore = true
  }

  /**
   * @param needOf the reason in a result, if evaluation needs a store
   * @param canBuild false: a package that needs a build in order to be evaluated says nothing about the set
   */
  async function attempt<T>(
    storeless: () => Promise<T>,
    withStore: () => Promise<T>,
    needOf: (result: T) => string | undefined,
    canBuild = true,
  ): Promise<T> {
    if (needsStore) return withStore()
    let reason: string | undefined
    try {
      const result = await storeless()
      reason = needOf(result)
      if (reason === undefined) {
        works()
        return result
      }
    } catch (error) {
      reason = isNixeryError(error) ? needOfStore(error.message) : undefined
      if (reason === undefined) throw error
    }
    if (canBuild) needs(reason)
    return withStore()
  }

  return {
    evaluate(lookUp, watch) {
      if (lookUp.instantiated) return nix.evaluate({ ...lookUp, alone: true }, watch)
      return attempt(
        () => nix.evaluate({ ...lookUp, storeless: true, alone: !isDecided }, watch),
        () => nix.evaluate(lookUp, watch),
        (answers) =>
          answers
            .map((answer) => (answer.status === 'failed' ? needOfStore(answer.message) : undefined))
            .find((reason) => reason !== undefined),
        lookUp.importFromDerivation !== false,
      )
    },
    evaluateImage(lookUp, watch) {
      if (lookUp.instantiated) return nix.evaluateImage(lookUp, watch)
      return attempt(
        () => nix.evaluateImage({ ...lookUp, storeless: true }, watch),
        () => nix.evaluateImage(lookUp, watch),
        (answer) => ('failed' in answer ? needOfStore(answer.failed) : undefined),
      )
    },
    listVersions: (set, watch, details) =>
      attempt(
        () => nix.listVersions({ ...set, storeless: true }, watch, details),
        () => nix.listVersions(set, watch, details),
        () => undefined,
      ),
  }
}
