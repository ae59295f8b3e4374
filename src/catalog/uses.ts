import { LRUCache } from 'lru-cache'
import type { StorePath } from '../image/store-path.ts'
import type { Catalog, ImageKey, ResolutionKey } from './catalog.ts'
import { dayOf } from './row-uses.ts'

export type UsesOptions = {
  /** Milliseconds between two writes. */
  readonly every?: number
  /** The current day, a UTC day counted from 1970. */
  readonly today?: () => number
}

// The number of rows of each kind whose day is known to be written, 100 bytes each. Beyond it, the day of a row may be
// written more than once.
const maxRecorded = 200_000
// Not `max`, which takes the memory of all rows at once.
const cacheOptions = { maxSize: maxRecorded, sizeCalculation: () => 1 }

/**
 * Wraps a catalog to record which resolutions, facts of paths and roots of images are used. It writes the records in batches,
 * at most once a day per row. A killed process loses those that it has not written; the next use writes them.
 */
export function withUses(catalog: Catalog, options: UsesOptions = {}): Catalog {
  const { every = 10_000, today = dayOf } = options
  const notes = {
    resolutions: new LRUCache<ResolutionKey, true>(cacheOptions),
    paths: new LRUCache<StorePath, true>(cacheOptions),
    roots: new LRUCache<ImageKey, true>(cacheOptions),
  }
  const fresh = {
    resolutions: new Set<ResolutionKey>(),
    paths: new Set<StorePath>(),
    roots: new Map<ImageKey, readonly StorePath[]>(),
  }
  let day = today()
  let flushing: Promise<void> | undefined

  const isNoted = <K extends string>(noted: LRUCache<K, true>, key: K): boolean => {
    if (noted.has(key)) return true
    noted.set(key, true)
    return false
  }
  /** Starts a new day if there is one: then all rows are recorded again. */
  const turnDay = () => {
    const now = today()
    if (now === day) return
    day = now
    for (const noted of Object.values(notes)) noted.clear()
  }
  const write = async () => {
    const resolutions = [...fresh.resolutions]
    const paths = [...fresh.paths]
    const roots = [...fresh.roots]
    fresh.resolutions.clear()
    fresh.paths.clear()
    fresh.roots.clear()
    if (resolutions.length + paths.length > 0) await catalog.rememberRowUses({ day, resolutions, paths })
    for (const [key, each] of roots) await catalog.rememberRoots(key, each)
  }
  const flush = async () => {
    await flushing
    flushing = write().finally(() => {
      flushing = undefined
    })
    await flushing
  }
  const timer = setInterval(() => void flush().catch(() => {}), every).unref() // the catalog has logged it

  return {
    ...catalog,
    async resolutions(keys, parse) {
      const found = await catalog.resolutions(keys, parse)
      turnDay()
      for (const key of found.keys()) if (!isNoted(notes.resolutions, key)) fresh.resolutions.add(key)
      return found
    },
    async pathFacts(paths) {
      const found = await catalog.pathFacts(paths)
      turnDay()
      for (const path of found.keys()) if (!isNoted(notes.paths, path)) fresh.paths.add(path)
      return found
    },
    rememberRoots(key, roots) {
      turnDay()
      if (!isNoted(notes.roots, key)) fresh.roots.set(key, roots)
      return Promise.resolve()
    },
    async close() {
      clearInterval(timer)
      await flush()
      await catalog.close()
    },
  }
}
