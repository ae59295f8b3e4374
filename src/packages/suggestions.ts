import { decodeSpelling, encodeSpelling } from '../image/spelling.ts'
import { namesForDebian } from './debian-names.ts'
import { nearestNames } from './nearest.ts'

/** A name that does not exist, and the names that do. */
export type MissingName = {
  readonly name: string
  /** The leading parts of the name that exist. */
  readonly path: readonly string[]
  /** The names that exist at that place. */
  readonly siblings: readonly string[]
}

/**
 * Suggests at most three names, as they can be written in a request: the nixpkgs names for a Debian name, else names with
 * a similar spelling.
 * @param permits whether a name may be suggested
 */
export function suggestions(
  { name, path, siblings }: MissingName,
  permits: (name: string) => boolean,
): string[] {
  if (path.length === 0) {
    const exists = (known: string) => siblings.includes(known.split('.', 1)[0] ?? '')
    const known = namesForDebian(name).filter((each) => exists(each) && permits(each))
    if (known.length > 0) return known.slice(0, 3)
  }
  const [wanted = '', ...rest] = name.split('.').slice(path.length)
  const candidates = new Map(siblings.flatMap(candidatesFor))
  const suggested = new Set<string>()
  const permitsCandidate = (candidate: string) => {
    const sibling = candidates.get(candidate) ?? candidate
    if (suggested.has(sibling) || !permits([...path, sibling, ...rest].join('.'))) return false
    suggested.add(sibling)
    return true
  }
  return nearestNames(decodeSpelling(wanted) ?? wanted, [...candidates.keys()], permitsCandidate).map(
    (found) => [...path, candidates.get(found) ?? found].map(encoded).join('.'),
  )
}

/** The texts that a sibling is compared as: itself and, if it is not valid in an image reference, likely substitutes. */
function candidatesFor(sibling: string): [candidate: string, sibling: string][] {
  const spelled = sibling === '' ? sibling : encodeSpelling(sibling)
  if (spelled === sibling) return [[sibling, sibling]]
  return [
    [spelled.replaceAll('__', '-'), sibling],
    [sibling, sibling],
  ]
}

/** The name in a form that is valid in an image reference. The lookup adds a "_" before a leading digit. */
const encoded = (attribute: string): string =>
  encodeSpelling(/^_\d/.test(attribute) ? attribute.slice(1) : attribute)

// The maximum number of suggestions for a name.
const mostSuggested = 3

/**
 * Suggestions for a name that does not exist, with hints first: a package with a program of that name, or a package of
 * that name in a nested set, is more likely than one with a similar name.
 */
export const withHints = (nearest: readonly string[], hints: readonly string[]): readonly string[] =>
  [...new Set([...hints, ...nearest])].slice(0, mostSuggested)
