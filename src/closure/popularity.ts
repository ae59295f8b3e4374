import { NixeryError } from '../errors.ts'
import { canonicalJson, keyOf } from '../image/canonical.ts'
import { type StorePath, storePathName } from '../image/store-path.ts'

/** How many packages of a package set refer to a store path of some name. */
export type Popularity = {
  /** Identifies the counts, for cache keys. */
  readonly version: string
  /** By the name of a store path without its hash, such as `glibc-2.40-36`. */
  readonly counts: ReadonlyMap<string, number>
}

/** Nothing known: every path counts as used once. */
export const noPopularity: Popularity = { version: 'none', counts: new Map() }

/**
 * The popularity of a store path: the count of exactly its name, else 1. Names include versions, so the counts
 * must come from the revision that the path comes from.
 *
 * What is in every image, `nss-cacert…` and `iana-etc…`, has few references in a package set but must never be
 * merged away: it has 500,000, more than glibc's. All three rules are the original's (layers.go, buildGraph).
 */
export function popularityOf({ counts }: Popularity, path: StorePath): number {
  const name = storePathName(path)
  if (name.startsWith('nss-cacert') || name.startsWith('iana-etc')) return 500_000
  return counts.get(name) ?? 1
}

/**
 * Reads counts as the original's popcount writes them: `{"glibc-2.40-36":1234}`. Equal counts have equal
 * versions, however they are written. Throws CONFIG_INVALID, naming the key whose count is not a positive
 * integer.
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
 * Writes counts as the original's popcount does, to the byte: sorted, without spaces, and without the counts of 1,
 * which say no more than a name that is not there.
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
    hint: 'popularity data is a JSON object that gives each package name its count: {"glibc-2.40-36": 1234}',
  })
