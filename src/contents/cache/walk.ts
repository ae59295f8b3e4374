import type { StorePath } from '../../image/store-path.ts'
import { createLimiter } from '../../queue/limiter.ts'
import type { Caches, InCache, LookUpOptions, NotInCaches } from './caches.ts'

/** The maximum number of paths in a closure. */
const mostPaths = 50_000
/**
 * The maximum number of references of all its paths: a hundred bytes of memory each. Systems of 5,000 paths have some
 * 100,000.
 */
const mostReferences = 1_000_000
/**
 * The maximum number of paths that are looked up at once, above the usual number of connections to a cache. Each listens
 * to the signal, and adding or removing a listener takes longer the more there are: for 50,000 paths eleven seconds.
 */
const lookUpsAtOnce = 256

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
  let missing: NotInCaches | undefined
  let references = 0
  const places = createLimiter(lookUpsAtOnce)

  const end = (storePath: StorePath, reasons: readonly string[]) => {
    missing ??= { storePath, reasons }
    ending.abort()
  }
  const visit = async (path: StorePath): Promise<void> => {
    if (seen.has(path) || missing) return
    seen.add(path)
    if (seen.size > mostPaths) return end(path, [`the closure has more than ${mostPaths} paths`])
    const answer = await places.run(async () => (missing ? undefined : lookUp(path, { ...options, signal })))
    if (!answer) return
    if ('reasons' in answer) return end(path, answer.reasons)
    references += answer.narinfo.references.length
    if (references > mostReferences)
      return end(path, [`the closure has more than ${mostReferences} references`])
    found.set(path, answer)
    onFound?.(answer)
    await Promise.all(answer.narinfo.references.filter((one) => !seen.has(one)).map(visit))
  }
  try {
    await Promise.all(roots.map(visit))
  } catch (error) {
    outer?.throwIfAborted()
    if (!missing) throw error
  }
  return missing ?? found
}
