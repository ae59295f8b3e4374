import { byText } from '../image/store-path.ts'
import { stepsBetween, type Steps } from './steps.ts'

// Suggestions.
const mostGiven = 3
/** A shorter name says too little to look further than one step, or for names that begin with it. */
const leastLength = 4
/** A name that the wanted one begins with has at least so many letters. */
const leastBeginning = 3
const mostSteps = 3

type Near = {
  readonly name: string
  /** What is more likely comes first. */
  readonly rank: number
  /** Steps, or letters that one has more than the other. */
  readonly distance: number
  /** Whether they have the same length, so that a letter is another: less likely than one too few or too many. */
  readonly isReplaced: boolean
}

/**
 * The names that were probably meant. Best first: the same but for case; those that two letters were swapped in, or that
 * go on where the wanted name ends; those with few letters different; those that the wanted name goes on from. 27,000
 * names take some milliseconds.
 * @param permits tells which names may be given; called for near ones only
 */
export function nearestNames(
  wanted: string,
  names: readonly string[],
  permits: (name: string) => boolean = () => true,
): string[] {
  const asked = wanted.toLowerCase()
  const fromDigit = /^\d/.test(asked)
  const isShort = asked.length < leastLength
  const tolerance = isShort ? 1 : Math.min(mostSteps, Math.floor(asked.length / 3))
  const characters = charactersOf(asked)
  // Every character that one has and the other has not takes a step: that is found out faster than the steps.
  const stepsTo = (candidate: string) => {
    if (Math.abs(candidate.length - asked.length) > tolerance) return undefined
    const others = charactersOf(candidate)
    if (exceeds(characters, others, tolerance) || exceeds(others, characters, tolerance)) return undefined
    return stepsBetween(asked, candidate, tolerance)
  }
  const near: Near[] = []
  for (const name of names) {
    const found = nearness(asked, comparable(name, fromDigit), isShort, stepsTo)
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

/** In lower case. Image names may leave out `_` before a digit: so is it here, if what is wanted begins with a digit. */
const comparable = (name: string, fromDigit: boolean): string =>
  (fromDigit && name.startsWith('_') ? name.slice(1) : name).toLowerCase()

/** The characters of a text as a set of 32 bits; some characters share one. */
function charactersOf(text: string): number {
  let set = 0
  for (let index = 0; index < text.length; index += 1) set |= 1 << (text.charCodeAt(index) & 31)
  return set
}

/** Whether a set has more than `most` elements that another has not. */
function exceeds(set: number, other: number, most: number): boolean {
  let rest = set & ~other
  for (let count = 0; count <= most; count += 1) {
    if (rest === 0) return false
    rest &= rest - 1
  }
  return true
}

function nearness(
  asked: string,
  candidate: string,
  isShort: boolean,
  stepsTo: (candidate: string) => Steps | undefined,
): Omit<Near, 'name'> | undefined {
  const longer = candidate.length - asked.length
  const isReplaced = longer === 0
  if (asked === candidate) return { rank: 0, distance: 0, isReplaced: false }
  if (!isShort && candidate.startsWith(asked)) return { rank: 1, distance: longer, isReplaced }
  const steps = stepsTo(candidate)
  // Of two letters, one is the same.
  if (steps && steps.count < Math.min(asked.length, candidate.length))
    return { rank: steps.isSwap ? 1 : 2, distance: steps.count, isReplaced }
  if (!isShort && candidate.length >= leastBeginning && asked.startsWith(candidate))
    return { rank: 3, distance: -longer, isReplaced }
  return undefined
}
