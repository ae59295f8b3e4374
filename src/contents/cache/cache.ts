import type { HttpClient } from '../../net/http-client.ts'
import { createLimiter } from '../../queue/limiter.ts'
import type { PartialDemand } from '../../queue/demand.ts'
import type { StorePath } from '../../image/store-path.ts'
import { basic, type CacheAddress } from './address.ts'
import { largestNarinfo, parseNarinfo, type Narinfo } from './narinfo.ts'
import type { LoginOf } from './netrc.ts'
import { fileTransport, httpTransport } from './transport.ts'
import { CacheTrouble } from './trouble.ts'

/** One binary cache. All of it throws CacheTrouble, and CANCELLED or the signal's reason. */
export type Cache = Pick<CacheAddress, 'name' | 'trusted'> & {
  /** What it says of itself. */
  about(demand: PartialDemand): Promise<{ readonly priority: number }>
  /** Its narinfo of a path, as it came: signatures are still to be looked at. Undefined if it has none. */
  narinfo(path: StorePath, demand: PartialDemand): Promise<Narinfo | undefined>
  /** Runs a task that reads the file of a narinfo; it takes one of the connections. */
  reading<T>(
    narinfo: Narinfo,
    demand: PartialDemand,
    task: (bytes: AsyncIterable<Uint8Array>) => Promise<T>,
  ): Promise<T>
}

export type CacheOptions = {
  readonly client: Pick<HttpClient, 'open'>
  /** How many connections to it may be open at once. */
  readonly connections: number
  /** Milliseconds without a byte after which a request is broken off. */
  readonly stall: number
  /** Logins from netrc, by host. */
  readonly login: LoginOf
  /** Milliseconds before what failed is tried again, for tests. */
  readonly firstDelay?: number
}

const largestInfo = 64 * 1024
/** That of a cache that says nothing (libstore/store-api.hh). */
const defaultPriority = 50
const baseNameAt = '/nix/store/'.length
const hashLength = 32

export function openCache(address: CacheAddress, options: CacheOptions): Cache {
  const { url: base, name, trusted } = address
  const places = createLimiter(options.connections)
  const authorization = (url: URL): string | undefined => {
    if (address.authorization !== undefined && url.origin === base.origin) return address.authorization
    const login = options.login(url.hostname, url.hostname === base.hostname)
    return login && basic(login.user, login.password)
  }
  const transport =
    base.protocol === 'file:' ? fileTransport(base) : httpTransport({ ...options, authorization })

  const read = async (file: string, limit: number, demand: PartialDemand) => {
    const bytes = await places.run(() => transport.small(new URL(file, base), limit, demand.signal), demand)
    // ASCII; of what is not, latin1 makes no more characters than there are bytes.
    return bytes?.toString('latin1')
  }

  return {
    name,
    trusted,
    async about(demand) {
      const text = await read('nix-cache-info', largestInfo, demand)
      if (text === undefined) throw new CacheTrouble('it has no nix-cache-info')
      const value = (field: string) => new RegExp(`^${field}: *(.*?)\\s*$`, 'm').exec(text)?.[1]
      const storeDir = value('StoreDir')
      if (storeDir !== '/nix/store') {
        const told =
          storeDir === undefined ? 'it does not tell its StoreDir' : 'it is of another store than /nix/store'
        throw new CacheTrouble(told)
      }
      const priority = value('Priority') ?? ''
      return {
        priority: address.priority ?? (/^\d{1,9}$/.test(priority) ? Number(priority) : defaultPriority),
      }
    },

    async narinfo(path, demand) {
      const file = `${path.slice(baseNameAt, baseNameAt + hashLength)}.narinfo`
      const text = await read(file, largestNarinfo, demand)
      if (text === undefined) return undefined
      const narinfo = parseNarinfo(text)
      if ('invalid' in narinfo) throw new CacheTrouble(`it gives no narinfo of ${path}: ${narinfo.invalid}`)
      if (narinfo.storePath !== path)
        throw new CacheTrouble(`it gives the narinfo of another path for ${path}`)
      return narinfo
    },

    async reading(narinfo, demand, task) {
      const url = URL.parse(narinfo.url, base.href)
      if (!url || !isAllowed(url, base))
        throw new CacheTrouble('a narinfo names an address that is not allowed')
      return places.run(() => task(transport.bytes(url, demand.signal)), demand)
    },
  }
}

/** Files of a cache in a folder lie in that folder; those of others at http or https, and not less safe. */
const isAllowed = (url: URL, { protocol }: URL): boolean =>
  protocol === 'http:' ? url.protocol === 'http:' || url.protocol === 'https:' : url.protocol === protocol
