import { rm } from 'node:fs/promises'
import type { Closure } from '../closure/graph.ts'
import { createAhead, type Ahead } from '../contents/cache/ahead.ts'
import { cacheContents, factsOf, type CachedOptions } from '../contents/cache/cached.ts'
import {
  avoided,
  type Caches,
  type InCache,
  type LookUpOptions,
  type NotInCaches,
} from '../contents/cache/caches.ts'
import type { CacheRoom, DownloadListener } from '../contents/cache/fetch.ts'
import { BadPath } from '../contents/cache/trouble.ts'
import { walkCaches } from '../contents/cache/walk.ts'
import type { Contents } from '../contents/contents.ts'
import { NixeryError } from '../errors.ts'
import type { StorePath } from '../image/store-path.ts'
import { unwanted } from '../queue/demand.ts'
import { closureOf } from './closure.ts'
import { createPackedAhead, type PackedAhead } from './packed-ahead.ts'
import type { PackingDeps } from './packing.ts'
import { passToFetch } from './to-fetch.ts'

/** Binary caches from which images are made without a Nix store. */
export type CacheOrigin = {
  /** With `auto`, Nix realises images that the caches do not have; with `caches`, they are errors. */
  readonly mode: 'auto' | 'caches'
  readonly caches: Caches
  readonly room: CacheRoom
  /** Seconds per image, from the first narinfo to the last layer. */
  readonly timeLimit: number
  /** Closes connections, and writes pending records. */
  close(): Promise<void>
}

export type CacheDeps = Omit<PackingDeps, 'contents'> & { readonly origin: CacheOrigin }

/** The number of paths of an image that caches may fail to deliver before Nix realises it. */
const mostFailures = 10

/** The closure of these paths according to the caches; undefined if they do not have all of it. @throws CANCELLED */
export async function closureInCaches(
  { caches }: CacheOrigin,
  roots: readonly StorePath[],
  options: Omit<LookUpOptions, 'avoid'>,
): Promise<Closure | undefined> {
  const walked = await walkCaches(caches, roots, { ...options, avoid: new Set() })
  return 'reasons' in walked ? undefined : closureOf(roots, [...walked.values()].map(factsOf))
}

/**
 * Makes an image from binary caches if they have its whole closure. Paths from caches and from Nix are never mixed, because
 * two builds of a path may have different bytes. If a cache fails to deliver a path that it listed, it starts again with
 * the next cache, and reuses the packed layers.
 * @returns undefined if Nix must realise the image
 * @throws BUILD_FAILED with the path and the response of each cache; BUILD_TIMEOUT; CANCELLED; the errors of `make`
 */
export async function fromCaches<Made>(
  deps: CacheDeps,
  roots: readonly StorePath[],
  make: Make<Made>,
): Promise<Made | undefined> {
  const { timeLimit } = deps.origin
  const late = new AbortController()
  const timer = setTimeout(() => late.abort(), timeLimit * 1000)
  try {
    return await attempts({ ...deps, signal: AbortSignal.any([deps.signal, late.signal]) }, roots, make)
  } catch (error) {
    if (deps.signal.aborted || !late.signal.aborted) throw error
    throw new NixeryError(
      'BUILD_TIMEOUT',
      `the image took more than ${timeLimit} s to come from binary caches`,
      { cause: error, hint: 'the operator can raise NIXERY_BUILD_TIMEOUT' },
    )
  } finally {
    clearTimeout(timer)
  }
}

/** Makes an image from its closure. The signal cancels it. */
type Make<Made> = (
  closure: Closure,
  parts: Pick<PackingDeps, 'contents' | 'signal' | 'packedAhead'>,
) => Promise<Made>

async function attempts<Made>(
  deps: CacheDeps,
  roots: readonly StorePath[],
  make: Make<Made>,
): Promise<Made | undefined> {
  const { origin, emit } = deps
  const known: Failures = { avoid: new Set(), requestedAgain: new Set() }
  const reported = new Set<string>()
  const onTrouble = (cache: string, reason: string) => {
    const named = `the binary cache ${cache} `
    const message = reason.startsWith(named) ? reason : `${named}fails: ${reason}`
    // Many paths are requested at once, and fail for one reason.
    if (!reported.has(message)) emit({ type: 'warning', message, cache })
    reported.add(message)
  }
  let failure: BadPath | undefined
  const listener = downloadEvents(emit)
  for (let failures = 0; failures < mostFailures; failures++) {
    const ahead = createAhead(origin.room, listener, { ...deps, onCome: (found) => packedAhead.offer(found) })
    const packedAhead = createPackedAhead({ ...deps, ahead, room: origin.room })
    try {
      const answer = await attempt({ ...deps, onTrouble, listener, ahead, packedAhead }, roots, make, known)
      if ('made' in answer) return answer.made
      if ('failure' in answer) ({ failure } = answer)
      else if (origin.mode === 'auto') return undefined
      else throw failure ?? lacking(answer)
    } finally {
      await packedAhead.close()
      await ahead.close()
      listener.flush()
    }
  }
  if (origin.mode === 'auto') return undefined
  throw failure ?? new Error('the caches failed without an error')
}

/** Paths that caches failed to deliver, as `avoided` formats them: not to be requested any more, and requested once more. */
type Failures = { readonly avoid: Set<string>; readonly requestedAgain: Set<string> }

type AttemptDeps = CacheDeps &
  Pick<LookUpOptions, 'onTrouble'> & {
    readonly listener: DownloadListener
    readonly ahead: Ahead
    readonly packedAhead: PackedAhead
  }

async function attempt<Made>(
  deps: AttemptDeps,
  roots: readonly StorePath[],
  make: Make<Made>,
  { avoid, requestedAgain }: Failures,
): Promise<{ made: Made } | { failure: BadPath } | NotInCaches> {
  const { origin, emit, signal, urgency, onTrouble, ahead, packedAhead, catalog, packer } = deps
  const began = performance.now()
  const onFound = passToFetch({ catalog, compressorId: packer.compressorId }, (found) => {
    if (!signal.aborted) ahead.begin(found)
  })
  const walked = await walkCaches(origin.caches, roots, { signal, urgency, avoid, onTrouble, onFound }).catch(
    (error: unknown) => {
      throw signal.aborted ? unwanted(signal.reason) : error
    },
  )
  if (signal.aborted) throw unwanted(signal.reason)
  if ('reasons' in walked) return walked
  // From now on downloading and packing are in the order of the layers.
  ahead.stop()
  packedAhead.stop()
  const facts = [...walked.values()].map(factsOf)
  const narBytes = facts.reduce((sum, { narSize }) => sum + narSize, 0)
  const ms = performance.now() - began
  emit({ type: 'realised', origin: 'caches', paths: facts.length, narBytes, ms })
  try {
    const made = await make(closureOf(roots, facts), {
      contents: contentsOf(deps, walked),
      signal,
      packedAhead,
    })
    // Not earlier: stored facts are trusted, and only now all paths have been read.
    await catalog.rememberPathFacts(facts)
    return { made }
  } catch (error) {
    if (!(error instanceof BadPath)) throw error
    onTrouble(error.cache, error.message)
    const { cache, storePath } = error
    const one = avoided(cache, storePath)
    const askedAt = walked.get(storePath)?.askedAt ?? began
    // An old response may be out of date: request it once more.
    if (askedAt < began && !requestedAgain.has(one)) requestedAgain.add(one)
    else avoid.add(one)
    origin.caches.forget(cache, storePath)
    return { failure: error }
  }
}

const lacking = ({ storePath, reasons }: NotInCaches): NixeryError =>
  new NixeryError(
    'BUILD_FAILED',
    `${storePath} is in no binary cache:\n${reasons.map((reason) => `  ${reason}`).join('\n') || '  none is set'}`,
    {
      hint: 'images are made from binary caches alone here: the operator can put it into one, or set NIXERY_ORIGIN=auto',
    },
  )

/** Milliseconds between two events about downloaded bytes. */
const bytesInterval = 500

/** Emits the downloads of one build; `flush` emits the total if it is not known yet. */
export function downloadEvents(emit: CacheDeps['emit']): DownloadListener & { flush(): void } {
  let bytes = 0
  let emitted = 0
  let lastEvent = performance.now()
  const flush = () => {
    if (bytes === emitted) return
    emitted = bytes
    lastEvent = performance.now()
    emit({ type: 'downloading', bytes })
  }
  return {
    flush,
    onBytes(count) {
      bytes += count
      if (performance.now() - lastEvent >= bytesInterval) flush()
    },
    onDownloaded: (one) => emit({ type: 'downloaded', ...one }),
  }
}

function contentsOf(deps: AttemptDeps, walked: ReadonlyMap<StorePath, InCache>): Contents {
  const { catalog, signal, urgency, origin, ahead, listener } = deps
  return cacheContents(walked, origin.room, {
    ...listener,
    signal,
    urgency,
    ahead,
    listings: (facts) => catalog.listings(facts),
    readListing: listingReader(deps, walked),
  })
}

/** Reads a path of a cache to its end for its listing, which is remembered. */
export function listingReader(
  { packer, catalog, signal, urgency }: Pick<PackingDeps, 'packer' | 'catalog' | 'signal' | 'urgency'>,
  paths: ReadonlyMap<StorePath, InCache>,
): CachedOptions['readListing'] {
  return async (source) => {
    const { file, listings } = await packer.pack([source], { signal, urgency })
    await rm(file, { force: true })
    const [listing] = listings
    const found = 'nar' in source ? paths.get(source.nar.storePath) : undefined
    if (found && listing !== undefined) await catalog.rememberListings([{ facts: factsOf(found), listing }])
    return listing
  }
}
