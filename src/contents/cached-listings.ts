import { dirname } from 'node:path'
import type { FileInfo, Listings } from './contents.ts'

/**
 * The number of names looked up in a directory before it is listed: listing a large one takes longer than one lookup.
 */
const fewestLooks = 2

/**
 * Looks up each place only once, because following links visits the same directories repeatedly. A directory in which
 * several names are looked up is listed, so that missing names, which are most of them, cost nothing.
 */
export function cachedListings(listings: Listings): Listings {
  const seen = new Map<string, Promise<FileInfo | undefined>>()
  const looks = new Map<string, number>()
  const namesIn = new Map<string, Promise<ReadonlySet<string>>>()

  const namesOf = (directory: string): Promise<ReadonlySet<string>> => {
    const known = namesIn.get(directory)
    if (known) return known
    const names = listings.list(directory).then((all) => new Set(all))
    namesIn.set(directory, names)
    return names
  }
  const find = async (path: string): Promise<FileInfo | undefined> => {
    const directory = dirname(path)
    const above = await seen.get(directory)
    if (above?.kind !== 'directory') return listings.look(path)
    const count = (looks.get(directory) ?? 0) + 1
    looks.set(directory, count)
    if (count < fewestLooks && !namesIn.has(directory)) return listings.look(path)
    const names = await namesOf(directory)
    return names.has(path.slice(directory.length + 1)) ? listings.look(path) : undefined
  }
  return {
    // Each caller gets its own list, which it may sort.
    list: async (path) => [...(await namesOf(path))],
    read: (path, most) => listings.read(path, most),
    look(path) {
      const known = seen.get(path)
      if (known) return known
      const looking = find(path)
      seen.set(path, looking)
      return looking
    },
  }
}
