import { encodeSpelling } from '../image/spelling.ts'
import { byText } from '../image/store-path.ts'

/** UTF-16 units of a query that count. */
export const longestQuery = 200
/** Results that can be paged through. */
export const mostResults = 1_000

/** A package as a search finds it. All texts are in one line, without control characters, of at most 200 characters. */
export type PackageEntry = {
  /** As it is written in the name of an image: in lower case, and spelled where it has other characters. */
  readonly name: string
  /** The attribute path in the package set. */
  readonly attribute: string
  readonly pname: string
  /** Empty for a package without one. */
  readonly version: string
  readonly description: string | undefined
  /** Only an address of the web. */
  readonly homepage: string | undefined
  /** An SPDX expression. */
  readonly license: string | undefined
  /** Programs that it is known to have, the main one first. */
  readonly programs: readonly string[]
}

/**
 * The name of an attribute path in images; undefined if no name leads to it.
 * The lookup adds the "_" before a leading digit.
 */
export function writtenName(path: readonly string[]): string | undefined {
  if (path.some((part) => part === '')) return undefined
  return path.map((part) => encodeSpelling(/^_\d/.test(part) ? part.slice(1) : part).toLowerCase()).join('.')
}

/** Of a homepage as a package set has it, what may be linked to. */
export function webAddress(text: string | undefined): string | undefined {
  if (text === undefined || !/^https?:\/\/[^\s"'<>\\]+$/.test(text)) return undefined
  return URL.canParse(text) ? text : undefined
}

/**
 * One entry for each name, in the order in which results are shown: those at the top of the package set first, then those
 * with short names. Of several attributes with one name, it is the one that the lookup takes: the name itself, or the
 * first in byte order.
 */
export function inOrder(entries: Iterable<PackageEntry>): PackageEntry[] {
  const byName = new Map<string, PackageEntry>()
  for (const entry of entries) {
    const other = byName.get(entry.name)
    if (!other || goesBefore(entry.attribute, other.attribute)) byName.set(entry.name, entry)
  }
  const ranked = [...byName.values()].map((entry) => ({ entry, depth: entry.name.split('.').length }))
  ranked.sort(
    (a, b) =>
      a.depth - b.depth || a.entry.name.length - b.entry.name.length || byText(a.entry.name, b.entry.name),
  )
  return ranked.map(({ entry }) => entry)
}

function goesBefore(attribute: string, other: string): boolean {
  const isExact = (text: string) => text === text.toLowerCase()
  if (isExact(attribute) !== isExact(other)) return isExact(attribute)
  return byText(attribute, other) < 0
}

/** The words of a text, as the index has them: lower case letters and digits. */
export const wordsOf = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []

/** The words of an attribute: with those that begin with a capital letter inside of it. */
export function wordsOfName({ attribute, pname }: Pick<PackageEntry, 'attribute' | 'pname'>): string {
  const inside = attribute.split(/(?<=\p{Ll})(?=\p{Lu})|[._-]/u)
  return [...new Set([...wordsOf(attribute), ...wordsOf(pname), ...inside.flatMap(wordsOf)])].join(' ')
}
