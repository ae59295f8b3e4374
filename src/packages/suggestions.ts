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
  const permitsSibling = (sibling: string) => permits([...path, sibling, ...rest].join('.'))
  return nearestNames(wanted, siblings, permitsSibling).map((sibling) => [...path, sibling].join('.'))
}
