import { readFile } from 'node:fs/promises'
import { createHttpClient } from '../../net/http-client.ts'
import { parseCacheAddress } from './address.ts'
import { createBudget } from './budget.ts'
import { openCache, type Cache } from './cache.ts'
import { createDownloads, createMemory, type CacheRoom } from './fetch.ts'
import { createCaches, type Caches } from './caches.ts'
import { createFileCache, type CacheFiles } from './file-cache.ts'
import { largestNetrc, parseNetrc } from './netrc.ts'
import { parseTrustedKeys, type TrustedKeys } from './signature.ts'
import { openThreadDecoders } from './thread-decoders.ts'

/** The settings of binary caches. Times are in seconds. */
export type CacheSettings = {
  /** URLs in Nix's format. */
  readonly substituters: readonly string[]
  readonly trustedKeys: readonly string[]
  readonly requireSignatures: boolean
  readonly netrcFile: string | undefined
  /** Bearer tokens, `host=token`. */
  readonly tokens: readonly string[]
  /** The maximum number of connections to one cache. */
  readonly connections: number
  /** The time without data after which a request is aborted. */
  readonly timeout: number
  /** How long a narinfo is valid, and a missing one. */
  readonly found: number
  readonly missing: number
  readonly spoolDirectory: string
  /** The maximum size of NARs in this folder in bytes. */
  readonly spoolSize: number
}

export type OpenCaches = { readonly caches: Caches; readonly room: CacheRoom; close(): Promise<void> }

/**
 * Opens the supported caches; logs a line for each other cache, and for each invalid key. Does not send requests yet.
 * @param files the persistent store of responses
 * @param warn receives problems of the settings
 * @param shared the cache to query before all others
 */
export async function openCaches(
  settings: CacheSettings,
  files: CacheFiles,
  warn: (line: string) => void,
  shared?: { readonly cache: Cache; readonly keys: TrustedKeys; readonly room: CacheRoom },
): Promise<OpenCaches> {
  const { keys, invalid } = parseTrustedKeys(settings.trustedKeys)
  for (const text of invalid) warn(`not a public key for binary caches: ${text.slice(0, 100)}`)
  const login = parseNetrc(await netrcOf(settings.netrcFile, warn))
  const addresses = settings.substituters.flatMap((text) => {
    const address = parseCacheAddress(text)
    if (!address)
      warn(
        `${text.replace(/\/\/.*@/, '//…@').replace(/\?.*/, '')} is left to Nix: it is not an http, https or file URL`,
      )
    return address ? [address] : []
  })
  if (addresses.length === 0 && !shared) warn('there is no usable binary cache: set NIXERY_SUBSTITUTERS')
  const tokens = new Map(
    settings.tokens.map((text): [string, string] => {
      const at = text.indexOf('=')
      return [text.slice(0, at).toLowerCase(), text.slice(at + 1)]
    }),
  )
  const client = createHttpClient()
  const kept = createFileCache(files)
  const lifetimes = { found: settings.found * 1000, missing: settings.missing * 1000 }
  const caches = addresses.map((address) =>
    openCache(address, {
      client,
      kept,
      lifetimes,
      connections: settings.connections,
      stall: settings.timeout * 1000,
      login,
      token: (host) => tokens.get(host),
    }),
  )
  return {
    caches: createCaches(shared ? [shared.cache, ...caches] : caches, {
      keys: new Map([...keys, ...(shared?.keys ?? [])]),
      requireSignatures: settings.requireSignatures,
      lifetimes,
    }),
    room: shared?.room ?? (await openRoom(settings)),
    async close() {
      client.close()
      await kept.flush()
    },
  }
}

/** Room for the files of caches, which all contents share that are read through it. */
export async function openRoom({
  spoolDirectory,
  spoolSize,
}: Pick<CacheSettings, 'spoolDirectory' | 'spoolSize'>): Promise<CacheRoom> {
  const forAhead = Math.floor(spoolSize / 4)
  return {
    spoolDirectory,
    budget: createBudget(spoolSize - forAhead),
    budgetAhead: createBudget(forAhead),
    ahead: new Set(),
    memory: createMemory(),
    downloads: createDownloads(),
    inThreads: new Set((await openThreadDecoders()).keys()),
  }
}

async function netrcOf(file: string | undefined, warn: (line: string) => void): Promise<string> {
  if (file === undefined || file === '') return ''
  try {
    const text = await readFile(file, 'utf8')
    if (text.length <= largestNetrc) return text
    warn(`the netrc file ${file} is too large`)
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    // Nix reports a default even if the file does not exist.
    if (!isMissing) warn(`the netrc file ${file} cannot be read`)
  }
  return ''
}
