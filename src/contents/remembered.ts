import { LRUCache } from 'lru-cache'
import type { PathFacts } from '../image/store-path.ts'
import type { Found, Listings } from './contents.ts'

/** Names that are kept in memory at most: those of listed directories, and one for each place that was looked at. */
const mostNames = 100_000

type Look = Promise<Found | undefined>

/**
 * Listings that remember what they have seen of store paths, over all images of this process: the same places are
 * looked at for every combination of packages. What lies in a path depends on its NAR alone, so that its hash and the
 * place inside are the key, and a path that Nix rebuilds with other bytes is not mistaken for the old one.
 */
export function rememberListings(): (listings: Listings, closure: readonly PathFacts[]) => Listings {
  const looks = new LRUCache<string, Look>({ max: mostNames })
  const lists = new LRUCache<string, Promise<string[]>>({ max: mostNames, maxSize: mostNames })

  return (listings, closure) => {
    const hashes = new Map(closure.map(({ storePath, narHash }) => [storePath as string, narHash]))
    const depth = closure[0]?.storePath.split('/').length ?? 0
    /** Undefined for what is in none of the closure's paths. */
    const keyOf = (path: string): string | undefined => {
      const parts = path.split('/')
      const narHash = hashes.get(parts.slice(0, depth).join('/'))
      return narHash === undefined ? undefined : `${narHash}/${parts.slice(depth).join('/')}`
    }
    return {
      read: (path, most) => listings.read(path, most),
      look(path) {
        const key = keyOf(path)
        if (key === undefined) return listings.look(path)
        let look = looks.get(key)
        if (look === undefined) {
          look = listings.look(path)
          looks.set(key, look)
          look.catch(() => looks.delete(key))
        }
        return look
      },
      async list(path) {
        const key = keyOf(path)
        if (key === undefined) return listings.list(path)
        const known = lists.get(key)
        if (known) return known
        const names = listings.list(path)
        const size = (await names).length + 1
        if (size <= mostNames) lists.set(key, names, { size })
        return names
      },
    }
  }
}
