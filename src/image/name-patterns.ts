import { decodeSpelling } from './spelling.ts'

// Patterns of names of packages, in which `*` matches any text including dots. Names are compared as they are looked up:
// ignoring case and a `_` before a leading digit. A name that is the encoded spelling of another one (spelling.ts) counts as
// both: which one it means is only known later.

/** A pattern in comparable form. */
export type NamePattern = {
  readonly expression: RegExp
  /** Whether the pattern may match a name that continues after this prefix. */
  mayBegin(prefix: string): boolean
}

export const patternsOf = (glob: string): NamePattern[] =>
  spellingsOf(glob).map((parts) => patternOf(parts.join('.')))

function patternOf(comparable: string): NamePattern {
  const [head = '', ...rest] = comparable.split('*')
  const expression = new RegExp(`^${[head, ...rest].map((part) => RegExp.escape(part)).join('.*')}$`, 's')
  return {
    expression,
    mayBegin(prefix) {
      const begin = `${prefix}.`
      return head.startsWith(begin) || (rest.length > 0 && begin.startsWith(head))
    },
  }
}

/** The parts of a name, normalised as in lookup.nix. */
export const comparableParts = (name: string): string[] => name.split('.').map(comparablePart)

const comparablePart = (part: string): string => part.toLowerCase().replace(/^_(?=\d)/, '')

/** The parts of a name as written and, if it is encoded, decoded. */
export function spellingsOf(name: string): string[][] {
  const written = comparableParts(name)
  const spelled = name.split('.').map((part) => comparablePart(decodeSpelling(part) ?? part))
  return spelled.every((part, index) => part === written[index]) ? [written] : [written, spelled]
}
