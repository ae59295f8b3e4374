import { LRUCache } from 'lru-cache'
import { hasCode } from '../errors.ts'
import type { Resolution } from '../packages/resolution.ts'

/** Remembers temporary failures, such as those of the network, in memory for a short time. */
export type PassingFailures = {
  /** The resolution of a name, by its key. */
  resolution(key: string): Resolution | undefined
  note(key: string, resolution: Resolution): void
  /**
   * Runs an evaluation, or fails at once with the error of the last one.
   * @param set identifies the package set
   * @param names identifies the evaluated names
   */
  run<T>(set: string, names: string, evaluate: () => Promise<T>): Promise<T>
}

/** Limits for the messages in bytes (roughly), and for the number of failed evaluations. */
const maxBytes = 8e6
const maxErrors = 1000

/** @param seconds how long failures are remembered; `costly` is for evaluations that exceeded their time or memory */
export function createPassingFailures(seconds = { usual: 10, costly: 60 }): PassingFailures {
  const resolutions = new LRUCache<string, Resolution>({
    maxSize: maxBytes,
    sizeCalculation: (resolution, key) => JSON.stringify(resolution).length + key.length,
    ttl: seconds.usual * 1000,
  })
  const errors = new LRUCache<string, { readonly error: unknown }>({ max: maxErrors })
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
