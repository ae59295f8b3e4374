import type { PathFacts, StorePath } from '../image/store-path.ts'
import type { Contents } from './contents.ts'
import { parseListing, type Listing } from './listing.ts'

/**
 * Uses known listings before reading anything: a listing depends only on the hash of the path's contents, so a path
 * that was listed once need not be read again.
 * @param facts of a closure; other paths are read
 * @param kept returns the known listings of these paths
 */
export function withListings(
  contents: Contents,
  facts: readonly PathFacts[],
  kept: (facts: readonly PathFacts[]) => Promise<ReadonlyMap<StorePath, string>>,
): Contents {
  const [first] = facts
  const depth = first?.storePath.split('/').length ?? 0
  let texts: Promise<ReadonlyMap<StorePath, string>> | undefined
  const parsed = new Map<StorePath, Listing | undefined>()

  const at = async (path: string): Promise<{ listing: Listing; below: string } | undefined> => {
    const storePath = path.split('/').slice(0, depth).join('/') as StorePath
    // Loaded on the first lookup: an image whose links are known needs none.
    const text = (await (texts ??= kept(facts))).get(storePath)
    if (!parsed.has(storePath)) parsed.set(storePath, text === undefined ? undefined : parseListing(text))
    const listing = parsed.get(storePath)
    return listing && { listing, below: path.slice(storePath.length) }
  }
  return {
    ...contents,
    async look(path) {
      const place = await at(path)
      return place ? place.listing.look(place.below) : contents.look(path)
    },
    async list(path) {
      const place = await at(path)
      return place?.listing.list(place.below) ?? contents.list(path)
    },
    async read(path, most) {
      const place = await at(path)
      const text = place?.listing.text(place.below)
      return text === undefined ? contents.read(path, most) : Buffer.from(text, 'latin1').subarray(0, most)
    },
  }
}
