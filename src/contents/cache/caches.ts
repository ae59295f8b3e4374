import { LRUCache } from 'lru-cache'
import type { StorePath } from '../../image/store-path.ts'
import type { PartialDemand } from '../../queue/demand.ts'
import type { Cache, NarinfoAnswer } from './cache.ts'
import { isNarCompression, type NarCompression } from './decoders.ts'
import type { Lifetimes } from './file-cache.ts'
import type { Narinfo } from './narinfo.ts'
import { isSigned, type TrustedKeys } from './signature.ts'
import { CacheTrouble, reasonOf } from './trouble.ts'

/** A path that a cache has, with trusted facts. */
export type InCache = {
  readonly cache: Cache
  readonly narinfo: Narinfo
  readonly compression: NarCompression
  /** The time of the request, by `performance.now()`. */
  readonly askedAt: number
}

/** The response of each cache about a path that none has, in words. */
export type NotInCaches = { readonly storePath: StorePath; readonly reasons: readonly string[] }

export type LookUpOptions = PartialDemand & {
  /** Paths not to request from a cache, as returned by `avoided`. */
  readonly avoid: ReadonlySet<string>
  readonly onTrouble: (cache: string, reason: string) => void
}

/** Several caches, in the order of their priorities. */
export type Caches = {
  readonly names: readonly string[]
  /** The first cache with a trusted narinfo of a path. Only throws when the signal fires. */
  lookUp(path: StorePath, options: LookUpOptions): Promise<InCache | NotInCaches>
  /** Requests the descriptions of caches in advance, so that they are known when the first path is looked up. */
  prepare(): void
  /** Discards a cache's response about a path, so that it is requested again. */
  forget(cache: string, path: StorePath): void
}

export type CachesOptions = {
  readonly keys: TrustedKeys
  readonly requireSignatures: boolean
  /** How long a narinfo is valid, and a missing one. */
  readonly lifetimes: Lifetimes
  /** Milliseconds for which a failed cache is not used. */
  readonly pause?: number
}

/** An entry of `avoid`: do not request the path from this cache. */
export const avoided = (cache: string, path: StorePath): string => `${cache} ${path}`

/** Milliseconds for which nix-cache-info is valid. */
const aboutFor = 7 * 24 * 3600_000
/** The approximate memory limit for narinfos in bytes. */
const mostRemembered = 64e6
const mostDoubted = 10_000

export function createCaches(
  caches: readonly Cache[],
  { keys, requireSignatures, lifetimes, pause = 60_000 }: CachesOptions,
): Caches {
  const known = new LRUCache<string, NarinfoAnswer>({
    maxSize: mostRemembered,
    sizeCalculation: ({ narinfo }) => 1000 + 80 * (narinfo?.references.length ?? 0),
  })
  /** Responses that must be requested again. */
  const doubted = new Set<string>()
  const states = caches.map((cache) => ({
    cache,
    pausedUntil: -Infinity,
    trouble: '',
    about: undefined as { readonly priority: number; readonly at: number } | undefined,
    asking: undefined as Promise<void> | undefined,
  }))
  type State = (typeof states)[number]
  const isPaused = ({ pausedUntil }: State) => performance.now() < pausedUntil

  const fails = (state: State, error: unknown, { signal, onTrouble }: LookUpOptions) => {
    signal?.throwIfAborted()
    if (!(error instanceof CacheTrouble)) throw error
    if (!isPaused(state)) onTrouble(state.cache.name, reasonOf(error))
    state.trouble = reasonOf(error)
    // A single invalid response says nothing about others.
    if (error.isPassing || !state.about) state.pausedUntil = performance.now() + pause
  }

  /** Shared by concurrent callers, none of which may cancel it for the others. */
  const askAbout = (state: State): Promise<void> =>
    (state.asking ??= state.cache
      .about({})
      .then((about) => void (state.about = { ...about, at: performance.now() }))
      .finally(() => (state.asking = undefined)))
  const isKnown = ({ about }: State): boolean =>
    about !== undefined && performance.now() - about.at < aboutFor

  /** The available caches, lowest priority number first. */
  const usable = async (options: LookUpOptions): Promise<State[]> => {
    const pending = states.map(async (state) => {
      if (isPaused(state)) return []
      if (isKnown(state)) return [state]
      try {
        await askAbout(state)
        return [state]
      } catch (error) {
        fails(state, error, options)
        return []
      }
    })
    const ready = (await Promise.all(pending)).flat()
    return ready.sort((a, b) => (a.about?.priority ?? 0) - (b.about?.priority ?? 0))
  }

  const narinfoOf = async ({ cache }: State, path: StorePath, options: LookUpOptions) => {
    const key = avoided(cache.name, path)
    const remembered = known.get(key)
    if (remembered) return remembered
    const answer = await cache.narinfo(path, options, doubted.has(key))
    doubted.delete(key)
    const lifetime = answer.narinfo ? lifetimes.found : lifetimes.missing
    known.set(key, answer, { ttl: Math.max(1, answer.at + lifetime - performance.now()) })
    return answer
  }

  /** Why a narinfo cannot be used; undefined if it can. */
  const refusal = ({ trusted }: Cache, narinfo: Narinfo): string | undefined => {
    if (requireSignatures && !trusted && !isSigned(narinfo, keys)) {
      if (narinfo.contentAddress !== undefined && narinfo.signatures.length === 0)
        return 'has it without a signature, as content-addressed'
      if (narinfo.signatures.length === 0) return 'has it without a signature'
      const names = [...new Set(narinfo.signatures.map(({ keyName }) => keyName))].join(', ').slice(0, 200)
      return `has it signed by ${names}, which is not a trusted key, or the signature is wrong`
    }
    if (!isNarCompression(narinfo.compression))
      return `has it compressed by ${narinfo.compression.slice(0, 20)}`
    return undefined
  }

  return {
    names: caches.map(({ name }) => name),
    async lookUp(path, options) {
      const reasons: string[] = []
      const ready = await usable(options)
      for (const state of states) {
        if (!ready.includes(state)) reasons.push(`${state.cache.name} cannot be queried: ${state.trouble}`)
      }
      for (const state of ready) {
        const { cache } = state
        if (options.avoid.has(avoided(cache.name, path))) {
          reasons.push(`${cache.name} returned invalid data for it`)
          continue
        }
        try {
          const { narinfo, at } = await narinfoOf(state, path, options)
          const reason = narinfo ? refusal(cache, narinfo) : 'does not have it'
          if (reason !== undefined || !narinfo) reasons.push(`${cache.name} ${reason}`)
          else if (isNarCompression(narinfo.compression))
            return { cache, narinfo, compression: narinfo.compression, askedAt: at }
        } catch (error) {
          fails(state, error, options)
          reasons.push(`${cache.name} cannot be queried: ${state.trouble}`)
        }
      }
      return { storePath: path, reasons }
    },
    prepare() {
      for (const state of states) {
        // The reader of the path gets the failure, and retries.
        if (!isKnown(state) && !isPaused(state)) askAbout(state).catch(() => {})
      }
    },
    forget(cache, path) {
      known.delete(avoided(cache, path))
      if (doubted.size < mostDoubted) doubted.add(avoided(cache, path))
    },
  }
}
