import type { StorePath } from '../../image/store-path.ts'
import type { Caches, InCache, LookUpOptions, NotInCaches } from './caches.ts'

/** The maximum number of paths in a closure. */
const mostPaths = 50_000

/**
 * Finds the closure of these paths, each with the cache that has it. References are followed concurrently as soon as
 * they are known, including self-references and cycles.
 * @param onFound called for each path as soon as its cache is known, before it is known whether caches have all paths
 * @returns the first path that no cache has, if any
 */
export async function walkCaches(
  { lookUp }: Pick<Caches, 'lookUp'>,
  roots: readonly StorePath[],
  { onFound, ...options }: LookUpOptions & { readonly onFound?: (found: InCache) => void },
): Promise<ReadonlyMap<StorePath, InCache> | NotInCaches> {
  const found = new Map<StorePath, InCache>()
  const seen = new Set<StorePath>()
  // The first missing path ends the walk: pending requests are no longer needed.
  const ending = new AbortController()
  const { signal: outer } = options
  const signal = outer ? AbortSignal.any([outer, ending.signal]) : ending.signal
  let lacking: NotInCaches | undefined

  const visit = async (path: StorePath): Promise<void> => {
    if (seen.has(path) || lacking) return
    seen.add(path)
    const answer =
      seen.size > mostPaths
        ? { storePath: path, reasons: [`the closure has more than ${mostPaths} paths`] }
        : await lookUp(path, { ...options, signal })
    if ('reasons' in answer) {
      lacking ??= answer
      ending.abort()
      return
    }
    found.set(path, answer)
    onFound?.(answer)
    await Promise.all(answer.narinfo.references.map(visit))
  }
  try {
    await Promise.all(roots.map(visit))
  } catch (error) {
    outer?.throwIfAborted()
    if (!lacking) throw error
  }
  return lacking ?? found
}
