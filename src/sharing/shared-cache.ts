import { LRUCache } from 'lru-cache'
import type { Cache } from '../contents/cache/cache.ts'
import type { InCache } from '../contents/cache/caches.ts'
import { isNarCompression } from '../contents/cache/decoders.ts'
import type { CacheRoom } from '../contents/cache/fetch.ts'
import { formatNarinfo, parseNarinfo, type Narinfo } from '../contents/cache/narinfo.ts'
import { fingerprintOf, isSigned, type TrustedKeys } from '../contents/cache/signature.ts'
import { CacheTrouble } from '../contents/cache/trouble.ts'
import { NixeryError } from '../errors.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import { createLimiter } from '../queue/limiter.ts'
import type { Demand, PartialDemand } from '../queue/demand.ts'
import type { Objects } from '../store/objects.ts'
import type { First } from './first.ts'
import type { SigningKey } from './key.ts'
import { uploadNar, type Uploaded } from './upload.ts'

/**
 * The binary cache that all workers share. Two builds of a store path may have different bytes; all workers use those
 * that were uploaded first. All methods throw STORE_UNAVAILABLE, STORE_FULL and CANCELLED.
 */
export type SharedCache = {
  /** For reading like any other cache, before all others. */
  readonly cache: Cache
  readonly keys: TrustedKeys
  readonly publicKey: string
  readonly room: CacheRoom
  /** The accepted facts of these paths, as far as the cache has them. */
  lookUp(paths: readonly StorePath[], demand: PartialDemand): Promise<Map<StorePath, InCache>>
  /** Whether the cache has none of these paths with other bytes. A missing path is requested at most once a minute. */
  agrees(facts: Iterable<PathFacts>, demand: PartialDemand): Promise<boolean>
  /**
   * Uploads paths of the local store. The narinfo of a path is created after those of all that it refers to, so that
   * the cache is always complete. The paths must stay valid until all promises have settled.
   * @returns the accepted facts of each path: its own, or those that another worker uploaded first
   */
  upload(paths: readonly PathFacts[], demand: Demand): Map<StorePath, Promise<InCache>>
}

export type SharedCacheOptions = {
  readonly cache: Cache
  readonly objects: Objects
  readonly key: SigningKey
  readonly keys: TrustedKeys
  readonly first: First
  readonly room: CacheRoom
  /** Reads the NAR of a path of the local store. */
  readonly read: (path: StorePath) => AsyncIterable<Uint8Array>
}

/** The approximate memory limit for narinfos in bytes. */
const mostRemembered = 32e6
const missing = { most: 50_000, ms: 60_000 }
const uploadsAtOnce = 4

export function createSharedCache(options: SharedCacheOptions): SharedCache {
  const { cache, objects, key, keys, first, room, read } = options
  const counting = new LRUCache<StorePath, InCache>({
    maxSize: mostRemembered,
    sizeCalculation: ({ narinfo }) => 1000 + 80 * narinfo.references.length,
  })
  const absent = new LRUCache<StorePath, true>({ max: missing.most, ttl: missing.ms })
  const uploads = createLimiter(uploadsAtOnce)
  /** NARs that are being uploaded, by path and hash. */
  const uploading = new Map<string, Promise<Uploaded>>()

  const asFound = (narinfo: Narinfo): InCache => {
    const { compression, storePath } = narinfo
    if (!isSigned(narinfo, keys)) throw unusable(`has ${storePath} without a signature by a trusted key`)
    if (!isNarCompression(compression)) throw unusable(`has ${storePath} compressed in an unknown way`)
    const found = { cache, narinfo, compression, askedAt: performance.now() }
    counting.set(storePath, found)
    absent.delete(storePath)
    return found
  }
  const find = async (path: StorePath, demand: PartialDemand): Promise<InCache | undefined> => {
    const known = counting.get(path)
    if (known) return known
    try {
      const { narinfo } = await cache.narinfo(path, demand)
      if (narinfo) return asFound(narinfo)
      absent.set(path, true)
      return undefined
    } catch (error) {
      throw error instanceof CacheTrouble ? unusable(`failed: ${error.message}`, error) : error
    }
  }
  const lookUp: SharedCache['lookUp'] = async (paths, demand) => {
    const found = await Promise.all(paths.map((path) => find(path, demand)))
    return new Map(paths.flatMap((path, index) => (found[index] ? [[path, found[index]]] : [])))
  }

  const uploadOnce = (facts: PathFacts, { urgency, signal }: Demand): Promise<Uploaded> => {
    const id = `${facts.storePath} ${facts.narHash}`
    const running = uploading.get(id)
    // Another build that ends early must not end this one.
    if (running) return running.catch(() => uploadOnce(facts, { urgency, signal }))
    const work = uploads
      .run(() => uploadNar(facts, { objects, read, ...room }, signal), { urgency, signal })
      .finally(() => uploading.delete(id))
    uploading.set(id, work)
    return work
  }
  const parsed = (path: StorePath, text: string): Narinfo => {
    const narinfo = parseNarinfo(text)
    if ('invalid' in narinfo) throw unusable(`has an unreadable narinfo of ${path}: ${narinfo.invalid}`)
    if (narinfo.storePath !== path) throw unusable(`has the narinfo of another path for ${path}`)
    return narinfo
  }

  /** Makes a path count whose NAR is uploaded, unless another one does. */
  const decide = async (facts: PathFacts, nar: Uploaded, signal: AbortSignal): Promise<InCache> => {
    const { storePath } = facts
    const signatures = [key.sign(fingerprintOf(facts))]
    const mine = formatNarinfo({ ...facts, ...nar, compression: 'zstd', signatures })
    return asFound(parsed(storePath, await first(storePath, mine, signal)))
  }

  return {
    cache,
    keys,
    publicKey: key.publicText,
    room,
    lookUp,
    async agrees(facts, demand) {
      const all = [...facts].filter(({ storePath }) => !absent.has(storePath))
      const found = await lookUp(
        all.map(({ storePath }) => storePath),
        demand,
      )
      return all.every(
        ({ storePath, narHash }) => (found.get(storePath)?.narinfo.narHash ?? narHash) === narHash,
      )
    },
    upload(paths, demand) {
      const byPath = new Map(paths.map((one) => [one.storePath, one]))
      const deciding = new Map<StorePath, Promise<InCache>>()
      const visit = (facts: PathFacts): Promise<InCache> => {
        const { storePath, references } = facts
        const inProgress = deciding.get(storePath)
        if (inProgress) return inProgress
        const needed = references.flatMap((path) => (path === storePath ? [] : (byPath.get(path) ?? [])))
        const nar = uploadOnce(facts, demand)
        const decided = Promise.all([nar, ...needed.map(visit)]).then(([uploaded]) =>
          decide(facts, uploaded, demand.signal),
        )
        decided.catch(() => {}) // each caller gets the error
        deciding.set(storePath, decided)
        return decided
      }
      // The largest first, so that no large one is left for the end.
      for (const facts of paths.toSorted((one, other) => other.narSize - one.narSize)) void visit(facts)
      return deciding
    },
  }
}

const unusable = (problem: string, cause?: unknown): NixeryError =>
  new NixeryError('STORE_UNAVAILABLE', `the shared binary cache ${problem}`, {
    cause,
    hint: 'try again; if it persists, the server log has the cause',
  })
