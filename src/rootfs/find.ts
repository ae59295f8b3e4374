import { followLinks, type Place } from '../contents/follow-links.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Work } from './work.ts'

/** A match in a store path: the requested path, and the place that it links to. */
export type Match = { readonly storePath: StorePath; readonly path: string; readonly place: Place }

// Checking store paths concurrently is much faster, but all of them at once would open too many files.
const concurrency = 32

/**
 * Searches the store paths of the image: first the linked packages in their order, then all others in byte order.
 * @param inside relative paths, such as `share/zoneinfo`; in each store path, the first match is used
 * @param accept whether a path matches
 */
export async function* find(
  { packages, closure, listings, store }: Work,
  inside: readonly string[],
  accept: (place: Place, path: string) => boolean | Promise<boolean>,
): AsyncGenerator<Match> {
  const all = [...new Set([...packages, ...closure.map(({ storePath }) => storePath)])]
  const findIn = async (storePath: StorePath): Promise<Match | undefined> => {
    for (const one of inside) {
      const path = `${storePath}/${one}`
      const place = await followLinks(listings, path, store)
      if (place && (await accept(place, path))) return { storePath, path, place }
    }
    return undefined
  }
  for (let start = 0; start < all.length; start += concurrency) {
    const matches = await Promise.all(all.slice(start, start + concurrency).map(findIn))
    for (const match of matches) if (match) yield match
  }
}

/** The first match of `find`. */
export async function findFirst(...args: Parameters<typeof find>): Promise<Match | undefined> {
  for await (const match of find(...args)) return match
  return undefined
}

/** Accepts programs for the image's platform, and scripts. */
export const isProgram =
  ({ platform }: Pick<Work, 'platform'>) =>
  ({ found }: Place): boolean =>
    found.kind === 'file' && (found.program === 'script' || found.program === platform.architecture)
