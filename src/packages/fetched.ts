import { hash } from 'node:crypto'
import { access, lutimes, lstat, readdir, readlink, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { LRUCache } from 'lru-cache'
import { systemErrorCode } from '../errors.ts'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { createPausing } from './pause.ts'

export type FetchedOptions = {
  /** Folder of the garbage collector roots of fetched sources. */
  readonly directory: string
  /** Milliseconds for which sources are kept after their last use. */
  readonly keep: number
  /** The folder that contains `/nix/store`; by default, the root folder. */
  readonly store?: string | undefined
  readonly warn: (line: string) => void
  /** For tests: a clock in milliseconds. */
  readonly clock?: () => number
}

/** Puts a root for a store path into a folder. */
export type Fetch = (rootOf: (path: StorePath) => string) => Promise<StorePath>

/** Sources that were fetched into the store. A garbage collector root protects each one until it is no longer used. */
export type FetchedSources = {
  /** The location of a store path on this machine. */
  onDisk(path: StorePath): string
  /** Fetches immutable sources, which are reused by key even after a restart. Failures are retried after a pause. */
  fixed(key: string, fetch: Fetch): Promise<StorePath>
  /** Fetches the sources of a moving name on every call. */
  moving(name: string, fetch: Fetch): Promise<StorePath>
  /** Fetches sources of several paths on every call. */
  together<T extends { readonly paths: readonly StorePath[] }>(
    fetch: (rootOf: (path: StorePath) => string) => Promise<T>,
  ): Promise<T>
  /**
   * Marks paths as used.
   * @returns whether all of them are still protected
   */
  use(paths: readonly StorePath[]): boolean
  /** Records the paths of a moving name, which are protected whether they are used or not. */
  current(name: string, paths: readonly StorePath[]): void
  /** Removes the roots of sources that have not been used for long. */
  expire(): Promise<void>
}

// Milliseconds. A use is written to disk at most once in this interval.
const noted = 60_000

/** Concurrent calls with equal keys share one fetch. */
export function createFetchedSources({
  directory,
  keep,
  store = '/',
  warn,
  clock = Date.now,
}: FetchedOptions): FetchedSources {
  const onDisk = (path: StorePath): string => join(store, path)
  const roots = new Map<StorePath, { root: string; at: number }>()
  const names = new Map<string, readonly StorePath[]>()
  const fixedPaths = new LRUCache<string, StorePath>({ max: 10_000 })
  const pausing = createPausing()
  const fetching = new Map<string, Promise<StorePath>>()

  const useOne = (path: StorePath): void => {
    const entry = roots.get(path)
    const now = clock()
    if (!entry || now - entry.at < noted) return
    entry.at = now
    void lutimes(entry.root, now / 1000, now / 1000).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') roots.delete(path)
    })
  }
  const keepBy = (path: StorePath, root: string): StorePath => {
    roots.set(path, { root, at: 0 })
    useOne(path)
    return path
  }
  const shared = (key: string, make: () => Promise<StorePath>): Promise<StorePath> => {
    const pending = fetching.get(key) ?? make().finally(() => fetching.delete(key))
    fetching.set(key, pending)
    return pending
  }
  const rootFor = (key: string): string => join(directory, hash('sha256', key))

  return {
    onDisk,
    fixed(key, fetch) {
      const known = fixedPaths.get(key)
      if (known !== undefined && roots.has(known)) {
        useOne(known)
        return Promise.resolve(known)
      }
      return shared(key, async () => {
        const root = rootFor(key)
        const path = keepBy(
          (await pathOf(root, onDisk)) ?? (await pausing(key, () => fetch(() => root))),
          root,
        )
        fixedPaths.set(key, path)
        return path
      })
    },
    moving: (name, fetch) =>
      shared(name, async () => {
        // The root is named after the path, so that the previous sources stay protected while they are in use.
        const path = await fetch(rootFor)
        return keepBy(path, rootFor(path))
      }),
    async together(fetch) {
      const found = await fetch(rootFor)
      for (const path of found.paths) keepBy(path, rootFor(path))
      return found
    },
    use(paths) {
      for (const path of paths) useOne(path)
      return paths.every((path) => roots.has(path))
    },
    current: (name, paths) => void names.set(name, paths),

    async expire() {
      const now = clock()
      const used = [...roots.values()].filter(({ at }) => now - at < keep)
      const current = [...names.values()].flat().map((path) => roots.get(path))
      const kept = new Set([...used, ...current].map((entry) => entry?.root))
      const files = await readdir(directory).catch(() => [])
      for (const name of files.filter((each) => /^[0-9a-f]{64}$/.test(each))) {
        const root = join(directory, name)
        const time = await lstat(root).then(
          ({ mtimeMs }) => mtimeMs,
          () => now,
        )
        if (now - time < keep || kept.has(root)) continue
        const path = await targetOf(root)
        await rm(root, { force: true }).catch((error: unknown) =>
          warn(`a root cannot be removed: ${String(error)}`),
        )
        if (path !== undefined && roots.get(path)?.root === root) roots.delete(path)
      }
    },
  }
}

async function targetOf(root: string): Promise<StorePath | undefined> {
  const target = await readlink(root).catch(() => undefined)
  return target === undefined ? undefined : parseStorePath(target)
}

/** The store path that a root protects, if both exist: a data folder may outlive its Nix store. */
async function pathOf(root: string, onDisk: (path: StorePath) => string): Promise<StorePath | undefined> {
  const path = await targetOf(root)
  const exists =
    path !== undefined &&
    (await access(onDisk(path)).then(
      () => true,
      () => false,
    ))
  return exists ? path : undefined
}
