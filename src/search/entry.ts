import { encodeSpelling } from '../image/spelling.ts'
import { byText } from '../image/store-path.ts'

/** The maximum length of a query in UTF-16 units; the rest is ignored. */
export const longestQuery = 200
/** The maximum number of results over all pages. */
export const mostResults = 1_000

/** A search result. All texts are on one line, without control characters, and have at most 200 characters. */
export type PackageEntry = {
  /** As written in image names: in lower case, with other characters spelled out. */
  readonly name: string
  /** The attribute path in the package set. */
  readonly attribute: string
  readonly pname: string
  /** Empty if the package has none. */
  readonly version: string
  readonly description: string | undefined
  /** An http or https URL. */
  readonly homepage: string | undefined
  /** An SPDX expression. */
  readonly license: string | undefined
  /** Its known programs, the main one first. */
  readonly programs: readonly string[]
}

/**
 * The name of an attribute path in images; undefined if no image name can refer to it. The lookup adds the "_" before a
 * leading digit.
 */
export function writtenName(path: readonly string[]): string | undefined {
  if (path.some((part) => part === '')) return undefined
  return path.map((part) => encodeSpelling(/^_\d/.test(part) ? part.slice(1) : part).toLowerCase()).join('.')
}

/** Returns a package's homepage if it may be linked to. */
export function webAddress(text: string | undefined): string | undefined {
  if (text === undefined || !/^https?:\/\/[^\s"'<>\\]+$/.test(text)) return undefined
  return URL.canParse(text) ? text : undefined
}

/**
 * Returns one entry for each name, in the order of results: names at the top level of the package set first, then short
 * names. If several attributes have the same name, the lookup's choice is used: the name itself, or the first in byte
 * order.
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

/** The words of a text as in the index: lower case letters and digits. */
export const wordsOf = (text: string): string[] => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []

/** The words of an attribute, including those that begin with a capital letter inside of it. */
export function wordsOfName({ attribute, pname }: Pick<PackageEntry, 'attribute' | 'pname'>): string {
  const inside = attribute.split(/(?<=\p{Ll})(?=\p{Lu})|[._-]/u)
  return [...new Set([...wordsOf(attribute), ...wordsOf(pname), ...inside.flatMap(wordsOf)])].join(' ')
}
