import { LRUCache } from 'lru-cache'
import { hasCode } from '../errors.ts'
import type { Resolution } from '../packages/resolution.ts'

/** Failures that may be over soon, such as of the network. They are remembered in memory and for a short time. */
export type PassingFailures = {
  /** What a name was found to be, by the key under which names are remembered. */
  resolution(key: string): Resolution | undefined
  note(key: string, resolution: Resolution): void
  /**
   * Runs an evaluation, or fails at once as the last one for the same reason did.
   * @param set identifies the package set as a whole
   * @param names identifies what is evaluated in it
   */
  run<T>(set: string, names: string, evaluate: () => Promise<T>): Promise<T>
}

/** Bytes, roughly, of messages; and failed evaluations. */
const mostBytes = 8e6
const mostErrors = 1000

/** @param seconds for which a failure is remembered; `costly` is for those that took all the time or memory there is */
export function createPassingFailures(seconds = { usual: 10, costly: 60 }): PassingFailures {
  const resolutions = new LRUCache<string, Resolution>({
    maxSize: mostBytes,
    sizeCalculation: (resolution, key) => JSON.stringify(resolution).length + key.length,
    ttl: seconds.usual * 1000,
  })
  const errors = new LRUCache<string, { readonly error: unknown }>({ max: mostErrors })
  return {
    resolution: (key) => resolutions.get(key),
    note: (key, resolution) => void resolutions.set(key, resolution),
    async run(set, names, evaluate) {
      const keyOfNames = JSON.stringify([set, names])
      const known = errors.get(set) ?? errors.get(keyOfNames)
      if (known) throw known.error
      try {
        return await evaluate()
      } catch (error) {
        if (hasCode(error, 'SOURCE_INVALID')) errors.set(set, { error }, { ttl: seconds.usual * 1000 })
        if (hasCode(error, 'EVALUATION_TIMEOUT', 'BUILD_FAILED')) {
          errors.set(keyOfNames, { error }, { ttl: seconds.costly * 1000 })
        }
        throw error
      }
    },
  }
}
