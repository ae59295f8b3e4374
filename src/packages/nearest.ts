import { byText } from '../image/store-path.ts'
import { stepsBetween, type Steps } from './steps.ts'

// The maximum number of suggestions.
const mostGiven = 3
/** For shorter names, only names that are one step away are suggested, and no names that begin with it. */
const leastLength = 4
/** The minimum length of a suggestion that is a prefix of the requested name. */
const leastBeginning = 3
const mostSteps = 3

type Near = {
  readonly name: string
  /** Lower is more likely. */
  readonly rank: number
  /** The number of steps, or the difference in length. */
  readonly distance: number
  /** Whether both have the same length, so a letter was replaced: less likely than a missing or an additional letter. */
  readonly isReplaced: boolean
}

/**
 * Finds the names that the user probably meant. Best first: names that differ only in case; names with two letters
 * swapped, or that continue the requested name; names with few different letters; prefixes of the requested name.
 * 27,000 names take a few milliseconds.
 * @param permits which names may be suggested; called for similar names only
 */
export function nearestNames(
  wanted: string,
  names: readonly string[],
  permits: (name: string) => boolean = () => true,
): string[] {
  const normalized = wanted.toLowerCase()
  const fromDigit = /^\d/.test(normalized)
  const isShort = normalized.length < leastLength
  const tolerance = isShort ? 1 : Math.min(mostSteps, Math.floor(normalized.length / 3))
  const characters = charactersOf(normalized)
  // Every character that only one name has takes a step. Counting these is faster than counting steps.
  const stepsTo = (candidate: string) => {
    if (Math.abs(candidate.length - normalized.length) > tolerance) return undefined
    const others = charactersOf(candidate)
    if (exceeds(characters, others, tolerance) || exceeds(others, characters, tolerance)) return undefined
    return stepsBetween(normalized, candidate, tolerance)
  }
  const near: Near[] = []
  for (const name of names) {
    const found = nearness(normalized, comparable(name, fromDigit), isShort, stepsTo)
    if (found) near.push({ name, ...found })
  }
  near.sort(
    (a, b) =>
      a.rank - b.rank ||
      a.distance - b.distance ||
      Number(a.isReplaced) - Number(b.isReplaced) ||
      byText(a.name, b.name),
  )
  return near
    .values()
    .map(({ name }) => name)
    .filter(permits)
    .take(mostGiven)
    .toArray()
}

/** In lower case, and without a `_` before a digit if the requested name begins with a digit, as in image names. */
const comparable = (name: string, fromDigit: boolean): string =>
  (fromDigit && name.startsWith('_') ? name.slice(1) : name).toLowerCase()

/** The characters of a text as a set of 32 bits; some characters share a bit. */
function charactersOf(text: string): number {
  let set = 0
  for (let index = 0; index < text.length; index += 1) set |= 1 << (text.charCodeAt(index) & 31)
  return set
}

/** Whether a set has more than `most` elements that the other one lacks. */
function exceeds(set: number, other: number, most: number): boolean {
  let rest = set & ~other
  for (let count = 0; count <= most; count += 1) {
    if (rest === 0) return false
    rest &= rest - 1
  }
  return true
}

function nearness(
  normalized: string,
  candidate: string,
  isShort: boolean,
  stepsTo: (candidate: string) => Steps | undefined,
): Omit<Near, 'name'> | undefined {
  const longer = candidate.length - normalized.length
  const isReplaced = longer === 0
  if (normalized === candidate) return { rank: 0, distance: 0, isReplaced: false }
  if (!isShort && candidate.startsWith(normalized)) return { rank: 1, distance: longer, isReplaced }
  const steps = stepsTo(candidate)
  // At least one letter must be the same.
  if (steps && steps.count < Math.min(normalized.length, candidate.length))
    return { rank: steps.isSwap ? 1 : 2, distance: steps.count, isReplaced }
  if (!isShort && candidate.length >= leastBeginning && normalized.startsWith(candidate))
    return { rank: 3, distance: -longer, isReplaced }
  return undefined
}
