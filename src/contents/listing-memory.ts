import { LRUCache } from 'lru-cache'
import type { PathFacts } from '../image/store-path.ts'
import type { FileInfo, Listings } from './contents.ts'

/** The maximum number of names in memory: those of listed directories, and one for each place that was looked up. */
const mostNames = 100_000

/**
 * Caches lookups in store paths for all images of this process, because the same places are looked up for every
 * combination of packages. The contents of a path depend only on its NAR, so the key consists of its hash and the place
 * inside it, and a path that Nix rebuilds with other bytes is not mistaken for the old one.
 */
export function rememberListings(): (listings: Listings, closure: readonly PathFacts[]) => Listings {
  // Results rather than promises: a caller that is cancelled must not cancel the lookup of another image.
  const looks = new LRUCache<string, { readonly found: FileInfo | undefined }>({ max: mostNames })
  const lists = new LRUCache<string, string[]>({ maxSize: mostNames })

  return (listings, closure) => {
    const hashes = new Map(closure.map(({ storePath, narHash }) => [storePath as string, narHash]))
    const depth = closure[0]?.storePath.split('/').length ?? 0
    /** Undefined for paths outside the closure. */
    const keyOf = (path: string): string | undefined => {
      const parts = path.split('/')
      const narHash = hashes.get(parts.slice(0, depth).join('/'))
      return narHash === undefined ? undefined : `${narHash}/${parts.slice(depth).join('/')}`
    }
    return {
      read: (path, most) => listings.read(path, most),
      async look(path) {
        const key = keyOf(path)
        if (key === undefined) return listings.look(path)
        const known = looks.get(key)
        if (known) return known.found
        const found = await listings.look(path)
        looks.set(key, { found })
        return found
      },
      async list(path) {
        const key = keyOf(path)
        if (key === undefined) return listings.list(path)
        const known = lists.get(key)
        if (known) return known
        const names = await listings.list(path)
        const size = names.length + 1
        if (size <= mostNames) lists.set(key, names, { size })
        return names
      },
    }
  }
}
