import { NixeryError } from '../errors.ts'
import { canonicalJson, keyOf } from '../image/canonical.ts'
import { type StorePath, storePathName } from '../image/store-path.ts'

/** How many packages of a package set refer to store paths, by name. */
export type Popularity = {
  /** Identifies the counts, for cache keys. */
  readonly version: string
  /** By the name of the store path without its hash, such as `glibc-2.40-36`. */
  readonly counts: ReadonlyMap<string, number>
}

/** No data: all paths have popularity 1. */
export const noPopularity: Popularity = { version: 'none', counts: new Map() }

/**
 * The popularity of a store path: the count of its exact name, or 1. Names include versions, so the counts must come from
 * the same revision as the path.
 *
 * `nss-cacert…` and `iana-etc…` are in every image, but few packages refer to them. Their popularity is 500,000, more
 * than glibc's, so that they always have a layer of their own. All these rules are the original's (layers.go, buildGraph).
 */
export function popularityOf({ counts }: Popularity, path: StorePath): number {
  const name = storePathName(path)
  if (name.startsWith('nss-cacert') || name.startsWith('iana-etc')) return 500_000
  return counts.get(name) ?? 1
}

/**
 * Parses counts in the format of the original's popcount: `{"glibc-2.40-36":1234}`. Equal counts have equal versions,
 * however they are formatted.
 * @throws CONFIG_INVALID if it is not a JSON object of positive integers; the message names the first bad key
 */
export function parsePopularity(text: string): Popularity {
  const counts = parseObject(text)
  for (const [name, count] of Object.entries(counts)) {
    if (Number.isSafeInteger(count) && Number(count) > 0) continue
    throw invalid(`the count of ${JSON.stringify(name.slice(0, 300))} is not a positive integer`)
  }
  const checked = counts as Record<string, number>
  const entries = Object.entries(checked)
  if (entries.length === 0) return noPopularity
  return { version: keyOf('popularity', 1, checked), counts: new Map(entries) }
}

/**
 * Formats counts exactly like the original's popcount: sorted, without spaces, and without counts of 1, which are the
 * default.
 */
export const formatPopularity = (counts: ReadonlyMap<string, number>): string =>
  canonicalJson(Object.fromEntries([...counts].filter(([, count]) => count > 1)))

function parseObject(text: string): object {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw invalid('it is not JSON', error)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw invalid('it is not a JSON object')
}

const invalid = (reason: string, cause?: unknown): NixeryError =>
  new NixeryError('CONFIG_INVALID', `cannot use the popularity data: ${reason}`, {
    cause,
    hint: 'popularity data is a JSON object with a count for each name: {"glibc-2.40-36": 1234}',
  })
