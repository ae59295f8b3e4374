import type { HttpClient } from '../../net/http-client.ts'
import { createLimiter } from '../../queue/limiter.ts'
import type { PartialDemand } from '../../queue/demand.ts'
import type { StorePath } from '../../image/store-path.ts'
import { basic, type CacheAddress } from './address.ts'
import type { FileCache, Lifetimes } from './file-cache.ts'
import { largestNarinfo, parseNarinfo, type Narinfo } from './narinfo.ts'
import type { LoginOf } from './netrc.ts'
import { fileTransport, httpTransport, type Transport } from './transport.ts'
import { CacheTrouble } from './trouble.ts'

/** A binary cache. All methods throw CacheTrouble, and CANCELLED or the signal's reason. */
export type Cache = Pick<CacheAddress, 'name' | 'trusted'> & {
  /** The cache's own description. */
  about(demand: PartialDemand): Promise<{ readonly priority: number }>
  /**
   * The cache's narinfo of a path; the caller must check its signatures.
   * @param refresh requests it even if an earlier response is stored
   */
  narinfo(path: StorePath, demand: PartialDemand, refresh?: boolean): Promise<NarinfoAnswer>
  /**
   * Runs a task that reads the file of a narinfo; it uses one of the connections. The task owns the chunks, and may
   * free their memory.
   */
  reading<T>(
    narinfo: Narinfo,
    demand: PartialDemand,
    task: (bytes: AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T>
}

/** A cache's response about a path. */
export type NarinfoAnswer = {
  /** Undefined if it does not have the path. */
  readonly narinfo: Narinfo | undefined
  /** The time of the request, by `performance.now()`; negative for responses to an earlier process. */
  readonly at: number
}

export type CacheOptions = {
  /** The maximum number of open connections. */
  readonly connections: number
  /** Its stored responses. A local folder is read each time. */
  readonly kept?: FileCache
  /** How long a stored narinfo is valid, and a missing one. */
  readonly lifetimes: Lifetimes
}

export type NetworkOptions = {
  readonly client: Pick<HttpClient, 'open'>
  /** Milliseconds without data after which a request is aborted. */
  readonly stall: number
  /** Logins from netrc, by host. */
  readonly login: LoginOf
  /** Bearer tokens, by host with or without the port; they take precedence over logins. */
  readonly token?: (host: string) => string | undefined
  /** Milliseconds before a retry, for tests. */
  readonly firstDelay?: number
}

const largestInfo = 64 * 1024
/** The priority of a cache that does not specify one (libstore/store-api.hh). */
const defaultPriority = 50
const baseNameAt = '/nix/store/'.length
const hashLength = 32
/** How long a cache's `nix-cache-info` is valid. */
const aboutLifetimes = { found: 7 * 24 * 3600_000, missing: 0 }

/** Opens a cache at an http, https or file URL. */
export function openCache(address: CacheAddress, options: CacheOptions & NetworkOptions): Cache {
  const { url: base } = address
  if (base.protocol === 'file:') {
    const { connections, lifetimes } = options
    return cacheOver(address, fileTransport(base), { connections, lifetimes })
  }
  const authorization = (url: URL): string | undefined => {
    if (address.authorization !== undefined && url.origin === base.origin) return address.authorization
    const token = options.token?.(url.host) ?? options.token?.(url.hostname)
    if (token !== undefined) return `Bearer ${token}`
    const login = options.login(url.hostname, url.hostname === base.hostname)
    return login && basic(login.user, login.password)
  }
  return cacheOver(address, httpTransport({ ...options, authorization }), options)
}

/** A cache whose files are read by this transport. */
export function cacheOver(
  address: CacheAddress,
  transport: Transport,
  { connections, kept, lifetimes }: CacheOptions,
): Cache {
  const { url: base, name, trusted } = address
  const places = createLimiter(connections)

  const read = async (file: string, limit: number, demand: PartialDemand) => {
    const bytes = await places.run(() => transport.small(new URL(file, base), limit, demand.signal), demand)
    // It is ASCII; with other bytes, latin1 does not make the text longer.
    return bytes?.toString('latin1')
  }
  const addressOf = (file: string): string => `${name}/${file}`

  return {
    name,
    trusted,
    async about(demand) {
      const file = addressOf('nix-cache-info')
      const before = await kept?.read(file, aboutLifetimes)
      const text = before?.text ?? (await read('nix-cache-info', largestInfo, demand))
      if (text === undefined)
        throw new CacheTrouble('it has no nix-cache-info, or does not show it without credentials')
      const storeDir = fieldOf(text, 'StoreDir')
      if (storeDir !== '/nix/store') {
        const problem =
          storeDir === undefined ? 'its nix-cache-info has no StoreDir' : 'its store is not /nix/store'
        throw new CacheTrouble(problem)
      }
      if (!before) kept?.write(file, text)
      const priority = fieldOf(text, 'Priority') ?? ''
      return {
        priority: address.priority ?? (/^-?\d{1,9}$/.test(priority) ? Number(priority) : defaultPriority),
      }
    },

    async narinfo(path, demand, refresh = false) {
      const file = `${path.slice(baseNameAt, baseNameAt + hashLength)}.narinfo`
      const before = refresh ? undefined : await kept?.read(addressOf(file), lifetimes)
      if (before) {
        const narinfo = before.text === undefined ? undefined : narinfoIn(before.text, path)
        const at = performance.now() - before.age
        // If the stored file cannot be read, request it again.
        if (narinfo === undefined || !('invalid' in narinfo)) return { narinfo, at }
      }
      const at = performance.now()
      const text = await read(file, largestNarinfo, demand)
      const narinfo = text === undefined ? undefined : narinfoIn(text, path)
      if (narinfo && 'invalid' in narinfo) throw new CacheTrouble(narinfo.invalid)
      kept?.write(addressOf(file), text)
      return { narinfo, at }
    },

    async reading(narinfo, demand, task) {
      const url = URL.parse(narinfo.url, base.href)
      if (!url || !isAllowed(url, base))
        throw new CacheTrouble('a narinfo contains a URL that is not allowed')
      return places.run(() => task(transport.bytes(url, demand.signal)), demand)
    },
  }
}

/**
 * The first value of a field in lines `Name: value`. Not by a regular expression that trims the value: with 64 KiB of
 * blanks in a line, which a cache can send, that took five seconds.
 */
function fieldOf(text: string, field: string): string | undefined {
  const start = `${field}:`
  return text
    .split('\n')
    .find((line) => line.startsWith(start))
    ?.slice(start.length)
    .trim()
}

/** Parses the narinfo of a path; returns the problem if it is invalid. */
function narinfoIn(text: string, path: StorePath): Narinfo | { readonly invalid: string } {
  const narinfo = parseNarinfo(text)
  if ('invalid' in narinfo)
    return { invalid: `it returned an invalid narinfo of ${path}: ${narinfo.invalid}` }
  return narinfo.storePath === path
    ? narinfo
    : { invalid: `it returned the narinfo of another path for ${path}` }
}

/** Files of a cache in a folder must be in that folder; those of others at http or https URLs, and not less secure. */
const isAllowed = (url: URL, { protocol }: URL): boolean =>
  protocol === 'http:' ? url.protocol === 'http:' || url.protocol === 'https:' : url.protocol === protocol
