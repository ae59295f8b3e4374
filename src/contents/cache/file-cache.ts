/** A small file of a binary cache, unchanged. */
export type CacheFile = {
  readonly address: string
  /** Undefined if the cache did not have it. */
  readonly text: string | undefined
  /** Seconds since 1970. */
  readonly askedAt: number
}

/** A persistent store of such files, such as the catalog. */
export type CacheFiles = {
  cacheFiles(addresses: readonly string[]): Promise<CacheFile[]>
  rememberCacheFiles(files: readonly CacheFile[]): Promise<void>
}

/** Milliseconds for which a file is valid, and a missing file. */
export type Lifetimes = { readonly found: number; readonly missing: number }

/** Files of binary caches that were requested earlier, in this process or a previous one. */
export type FileCache = {
  /** A file that has not expired, with its age in milliseconds. */
  read(
    address: string,
    lifetimes: Lifetimes,
  ): Promise<{ readonly text: string | undefined; readonly age: number } | undefined>
  /** Stores a response; undefined if the cache does not have the file. */
  write(address: string, text: string | undefined): void
  /** Writes pending files. */
  flush(): Promise<void>
}

/** The maximum length of a stored file, enough for the narinfo of a path with hundreds of references. */
const largestKept = 64 * 1024
/** The time in milliseconds, and the number of files, after which a batch is written. */
const writeEvery = 100
const mostUnwritten = 500

/** Reads and writes many files at once, because a closure has hundreds of them. */
export function createFileCache(files: CacheFiles): FileCache {
  let pending = new Map<string, PromiseWithResolvers<CacheFile | undefined>>()
  const unwritten = new Map<string, CacheFile>()
  let timer: NodeJS.Timeout | undefined

  const look = async () => {
    const batch = pending
    pending = new Map()
    const found = new Map((await files.cacheFiles([...batch.keys()])).map((file) => [file.address, file]))
    for (const [address, { resolve }] of batch) resolve(found.get(address))
  }
  const fileAt = (address: string): Promise<CacheFile | undefined> => {
    const fresh = unwritten.get(address)
    if (fresh) return Promise.resolve(fresh)
    // Requests of the same walk are combined into one statement.
    if (pending.size === 0) {
      const batch = pending
      setImmediate(() => {
        look().catch((error: unknown) => batch.forEach(({ reject }) => reject(error)))
      })
    }
    const waiting = pending.get(address) ?? Promise.withResolvers<CacheFile | undefined>()
    pending.set(address, waiting)
    return waiting.promise
  }
  const flush = async (): Promise<void> => {
    clearTimeout(timer)
    timer = undefined
    const all = [...unwritten.values()]
    if (all.length > 0) await files.rememberCacheFiles(all)
    for (const file of all) if (unwritten.get(file.address) === file) unwritten.delete(file.address)
  }

  return {
    flush,
    async read(address, { found, missing }) {
      const file = await fileAt(address)
      if (!file) return undefined
      const age = Date.now() - file.askedAt * 1000
      // If the clock was set back, ages are unknown.
      const isFresh = age >= -1000 && age < (file.text === undefined ? missing : found)
      return isFresh ? { text: file.text, age } : undefined
    },
    write(address, text) {
      if ((text?.length ?? 0) > largestKept) return
      unwritten.set(address, { address, text, askedAt: Math.floor(Date.now() / 1000) })
      if (unwritten.size >= mostUnwritten) void flush().catch(() => {})
      else timer ??= setTimeout(() => void flush().catch(() => {}), writeEvery).unref()
    },
  }
}
