import { setTimeout as sleep } from 'node:timers/promises'
import { LRUCache } from 'lru-cache'
import { hasCode } from '../errors.ts'
import type { Platform } from '../image/platform.ts'
import type { WordMeaning } from './sets.ts'
import { stateOf, type PackageSource, type PinnedSet } from './source.ts'

export type SetWordsOptions = {
  /** The default set. */
  readonly source: PackageSource
  /** Whether it has a package of this name at a revision. */
  readonly hasPackage: (word: string, platform: Platform, pinned: PinnedSet) => Promise<boolean>
  /** Receives a line for the operator when a name turns out to be a package. */
  readonly warn: (line: string) => void
  /** The timeout of the default set in milliseconds. */
  readonly patience?: number
}

// Milliseconds. A broken default set must not affect the others: without an answer, a name keeps its last meaning.
const usualPatience = 10_000
// If the last answer is known, a pull does not wait for a refresh of the default set.
const shortPatience = 200
const retryAfter = 30_000
// The number of cached answers: sets times platforms, for some revisions.
const mostKept = 200

/** Failures of the default set that do not affect the others. */
const ofDefault = [
  'SOURCE_INVALID',
  'SOURCE_UNREACHABLE',
  'MANIFEST_UNKNOWN',
  'PACKAGE_INVALID',
  'EVALUATION_TIMEOUT',
  'BUILD_FAILED',
] as const

/**
 * Decides what the name of a set means at the beginning of an image's name: a package if the default set has one at
 * `latest`, otherwise the set. If the default set is not available, the name keeps its last meaning, initially the set.
 */
export function createSetWords({
  source,
  hasPackage,
  warn,
  patience = usualPatience,
}: SetWordsOptions): WordMeaning {
  const answers = new LRUCache<string, { readonly answer: Promise<boolean>; value?: boolean }>({
    max: mostKept,
  })
  const last = new Map<string, boolean>()
  const failing = new Map<string, number>()
  const warned = new Set<string>()

  const at = (pinned: PinnedSet, word: string, { system }: Platform) =>
    JSON.stringify([stateOf(pinned), word, system])

  const ask = async (word: string, platform: Platform): Promise<boolean> => {
    const pinned = await source.pin('latest', { old: true })
    const key = at(pinned, word, platform)
    const known = answers.get(key)
    if (known) return known.answer
    const entry: { answer: Promise<boolean>; value?: boolean } = {
      answer: hasPackage(word, platform, pinned).then(
        (isPackage) => {
          entry.value = isPackage
          if (isPackage && !warned.has(word)) {
            warned.add(word)
            warn(
              `the default package set has a package \`${word}\`: names that begin with it mean the package, not the package set`,
            )
          }
          return isPackage
        },
        (error: unknown) => {
          if (answers.get(key) === entry) answers.delete(key)
          throw error
        },
      ),
    }
    answers.set(key, entry)
    return entry.answer
  }

  return {
    known(word, platform) {
      const pinned = source.current?.('latest')
      return pinned && answers.get(at(pinned, word, platform))?.value
    },
    async isPackage(word, platform) {
      const place = `${word} ${platform.system}`
      const known = last.get(place)
      const before = known ?? false
      if ((failing.get(place) ?? 0) > performance.now()) return before
      const pending = ask(word, platform)
      const over = new AbortController()
      const wait = known === undefined ? patience : Math.min(patience, shortPatience)
      const late = sleep(wait, undefined, { signal: over.signal }).catch(() => undefined)
      try {
        const answer = await Promise.race([pending, late])
        failing.delete(place)
        if (answer !== undefined) last.set(place, answer)
        else {
          if (known === undefined) failing.set(place, performance.now() + retryAfter)
          pending.then(
            (found) => (last.set(place, found), failing.delete(place)),
            () => {},
          )
        }
        return answer ?? before
      } catch (error) {
        if (!hasCode(error, ...ofDefault)) throw error
        failing.set(place, performance.now() + retryAfter)
        return before
      } finally {
        over.abort()
      }
    },
  }
}
