import { follow, type Place } from '../contents/follow.ts'
import type { StorePath } from '../image/store-path.ts'
import type { Work } from './work.ts'

/** Something in a store path of the image: its path as it was asked for, and where that leads. */
export type Found = { readonly storePath: StorePath; readonly path: string; readonly place: Place }

// Looking at many store paths at once takes a fraction of the time, and at all of them at once too many open files.
const atOnce = 32

/**
 * Looks for something in the store paths of the image, the linked packages first, in their order, then all others in
 * byte order.
 * @param inside paths below a store path: `share/zoneinfo`. In each store path the first one is taken that is there
 * @param accept whether it is what was looked for
 */
export async function* find(
  { packages, closure, listings, store }: Work,
  inside: readonly string[],
  accept: (place: Place, path: string) => boolean | Promise<boolean>,
): AsyncGenerator<Found> {
  const all = [...new Set([...packages, ...closure.map(({ storePath }) => storePath)])]
  const findIn = async (storePath: StorePath): Promise<Found | undefined> => {
    for (const one of inside) {
      const path = `${storePath}/${one}`
      const place = await follow(listings, path, store)
      if (place && (await accept(place, path))) return { storePath, path, place }
    }
    return undefined
  }
  for (let start = 0; start < all.length; start += atOnce) {
    const found = await Promise.all(all.slice(start, start + atOnce).map(findIn))
    for (const one of found) if (one) yield one
  }
}

/** The first that `find` gives. */
export async function findFirst(...args: Parameters<typeof find>): Promise<Found | undefined> {
  for await (const one of find(...args)) return one
  return undefined
}

/** Accepts programs for the image's platform; a script runs wherever its interpreter does. */
export const isProgram =
  ({ platform }: Pick<Work, 'platform'>) =>
  ({ found }: Place): boolean =>
    found.kind === 'file' && (found.program === 'script' || found.program === platform.architecture)
