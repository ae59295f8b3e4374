import type { Found, Listings } from './contents.ts'

/** Listings that look at each place once: following links looks at the same folders again and again. */
export function once(listings: Listings): Listings {
  const seen = new Map<string, Promise<Found | undefined>>()
  return {
    list: (path) => listings.list(path),
    read: (path, most) => listings.read(path, most),
    look(path) {
      const known = seen.get(path)
      if (known) return known
      const looking = listings.look(path)
      seen.set(path, looking)
      return looking
    },
  }
}
