import { decodeSpelling, encodeSpelling } from '../image/spelling.ts'
import { namesForDebian } from './debian-names.ts'
import { nearestNames } from './nearest.ts'

/** A name that is missing, and what there is instead. */
export type MissingName = {
  readonly name: string
  /** As far as the name was found. */
  readonly path: readonly string[]
  /** The names that there are at that place. */
  readonly siblings: readonly string[]
}

/**
 * The names that were probably meant, at most three, as they can be asked for: what Debian's name is called here, else
 * those that are spelled alike.
 * @param permits whether a name may be suggested
 */
export function suggestions(
  { name, path, siblings }: MissingName,
  permits: (name: string) => boolean,
): string[] {
  if (path.length === 0) {
    const there = (known: string) => siblings.includes(known.split('.', 1)[0] ?? '')
    const known = namesForDebian(name).filter((each) => there(each) && permits(each))
    if (known.length > 0) return known.slice(0, 3)
  }
  const [wanted = '', ...rest] = name.split('.').slice(path.length)
  const candidates = new Map(siblings.flatMap(candidatesFor))
  const given = new Set<string>()
  const permitsCandidate = (candidate: string) => {
    const sibling = candidates.get(candidate) ?? candidate
    if (given.has(sibling) || !permits([...path, sibling, ...rest].join('.'))) return false
    given.add(sibling)
    return true
  }
  return nearestNames(decodeSpelling(wanted) ?? wanted, [...candidates.keys()], permitsCandidate).map(
    (found) => [...path, candidates.get(found) ?? found].map(written).join('.'),
  )
}

/** What a sibling is compared as: itself and, if no image reference can hold it, what people may write in its place. */
function candidatesFor(sibling: string): [candidate: string, sibling: string][] {
  const spelled = sibling === '' ? sibling : encodeSpelling(sibling)
  if (spelled === sibling) return [[sibling, sibling]]
  return [
    [spelled.replaceAll('__', '-'), sibling],
    [sibling, sibling],
  ]
}

/** As an image reference can hold it. The lookup itself puts a "_" before a leading digit. */
const written = (attribute: string): string =>
  encodeSpelling(/^_\d/.test(attribute) ? attribute.slice(1) : attribute)
