import { cacheContents, factsOf } from '../contents/cache/cached.ts'
import type { InCache } from '../contents/cache/caches.ts'
import { BadPath } from '../contents/cache/trouble.ts'
import { storePathOf, type Contents } from '../contents/contents.ts'
import { withListings } from '../contents/known-listings.ts'
import { NixeryError } from '../errors.ts'
import { walkClosure, type Closure } from '../closure/graph.ts'
import type { PathFacts, StorePath } from '../image/store-path.ts'
import type { Watch } from '../nix/nix.ts'
import type { SharedCache } from '../sharing/shared-cache.ts'
import { downloadEvents, listingReader } from './from-caches.ts'
import type { PackingDeps, Remembering } from './packing.ts'

export type SharingDeps = PackingDeps & { readonly shared: SharedCache }

/** Another worker has uploaded its bytes of a path first. */
class OthersCount extends Error {}

/**
 * Makes an image from valid paths of the local store, with the bytes that all workers use: those that were uploaded to
 * the shared cache first. If the cache has different bytes for a path, they are used; paths that it lacks are uploaded
 * while layers are packed. No facts about a path are stored before it is known that its bytes are the ones in use.
 * @param make makes the image; it is called again if another worker was faster
 * @throws BUILD_FAILED, STORE_UNAVAILABLE and STORE_FULL of the shared cache; CANCELLED; the errors of `make`
 */
export async function withFirstBytes<Made>(
  deps: SharingDeps,
  roots: readonly StorePath[],
  watch: Watch,
  make: (closure: Closure, contents: Contents, remembering: Remembering) => Promise<Made>,
): Promise<Made> {
  const facts = await deps.contents.facts(roots, watch)
  const local = new Map(facts.map((one) => [one.storePath, one]))
  for (;;) {
    const { closure, counting } = await closureThatCounts(deps, roots, local)
    const undecided = [...closure.paths.values()].filter(({ storePath }) => !counting.has(storePath))
    const ending = new AbortController()
    const signal = AbortSignal.any([deps.signal, ending.signal])
    const upload = startUpload({ ...deps, signal }, undecided)
    try {
      const contents = mixed(deps, [...closure.paths.values()], local, counting)
      return await make(closure, contents, upload.remembering(closure))
    } catch (error) {
      ending.abort(error)
      // All of these paths are in the cache now, so the loop ends.
      if (!(error instanceof OthersCount)) throw error instanceof BadPath ? lost(error) : error
    } finally {
      await upload.ended
    }
  }
}

/** Whether stored facts of these paths match the shared cache; the failure if the cache does not respond. */
export async function agreement(
  { shared, signal, urgency }: Pick<SharingDeps, 'shared' | 'signal' | 'urgency'>,
  closure: Closure,
): Promise<boolean | NixeryError> {
  try {
    return await shared.agrees(closure.paths.values(), { signal, urgency })
  } catch (error) {
    if (error instanceof NixeryError && !signal.aborted) return error
    throw error
  }
}

/** The closure with the facts in use, and those of its paths that the shared cache has. */
async function closureThatCounts(
  { shared, signal, urgency }: SharingDeps,
  roots: readonly StorePath[],
  local: ReadonlyMap<StorePath, PathFacts>,
): Promise<{ closure: Closure; counting: ReadonlyMap<StorePath, InCache> }> {
  const counting = new Map<StorePath, InCache>()
  const factsAt = (path: StorePath): PathFacts | undefined => {
    const found = counting.get(path)
    return found ? factsOf(found) : local.get(path)
  }
  let wanted: readonly StorePath[] = [...local.keys()]
  for (;;) {
    const found = await shared.lookUp(wanted, { signal, urgency })
    for (const [path, one] of found) counting.set(path, one)
    const walked = walkClosure(roots, factsAt)
    if ('closure' in walked) return { closure: walked.closure, counting }
    // Paths uploaded by others may refer to paths that are not in this store.
    const missing = walked.unknown.find((path) => wanted.includes(path))
    if (missing !== undefined) throw incomplete(missing)
    wanted = walked.unknown
  }
}

/** Uploads paths, and decides when their facts may be stored. */
function startUpload(
  { shared, signal, urgency, emit, catalog }: SharingDeps,
  paths: readonly PathFacts[],
): { readonly remembering: (closure: Closure) => Remembering; readonly ended: Promise<unknown> } {
  if (paths.length > 0) {
    const megabytes = Math.ceil(paths.reduce((sum, { narSize }) => sum + narSize, 0) / 1e6)
    emit({
      type: 'nix',
      line: `uploading ${paths.length} store paths (${megabytes} MB) to the shared binary cache`,
    })
  }
  const uploads = shared.upload(paths, { signal, urgency })
  const hashes = new Map(paths.map(({ storePath, narHash }) => [storePath, narHash]))
  const areMine = async (wanted: Iterable<StorePath>): Promise<boolean> => {
    const found = await Promise.all(Array.from(wanted).flatMap((path) => uploads.get(path) ?? []))
    return found.every((one) => one.narinfo.narHash === hashes.get(one.narinfo.storePath))
  }
  return {
    ended: Promise.allSettled(uploads.values()),
    remembering: (closure) => ({
      mayRemember: (wanted) => areMine(wanted.length > 0 ? wanted : uploads.keys()),
      async confirm() {
        if (!(await areMine(uploads.keys()))) throw new OthersCount()
        await catalog.rememberPathFacts([...closure.paths.values()])
      },
    }),
  }
}

/** The local store for paths that have the bytes in use there, the shared cache for all others. */
function mixed(
  deps: SharingDeps,
  facts: readonly PathFacts[],
  local: ReadonlyMap<StorePath, PathFacts>,
  counting: ReadonlyMap<StorePath, InCache>,
): Contents {
  const here = withListings(deps.contents, facts, deps.catalog.listings)
  const others = facts.filter(({ storePath, narHash }) => local.get(storePath)?.narHash !== narHash)
  if (others.length === 0) return here
  const elsewhere = new Map(
    others.flatMap(({ storePath }) => {
      const found = counting.get(storePath)
      return found ? [[storePath, found] as const] : []
    }),
  )
  const { room } = deps.shared
  const cached = cacheContents(elsewhere, room, {
    ...downloadEvents(deps.emit),
    signal: deps.signal,
    urgency: deps.urgency,
    listings: (paths) => deps.catalog.listings(paths),
    readListing: listingReader(deps, elsewhere),
  })
  const at = (path: string) => (elsewhere.has(storePathOf(path)) ? cached : here)
  return {
    ...here,
    isReadFirst: true,
    learn: (path, listing) => void (elsewhere.has(path) && cached.learn?.(path, listing)),
    look: (path) => at(path).look(path),
    list: (path) => at(path).list(path),
    read: (path, most) => at(path).read(path, most),
    async open(paths, demand) {
      const [fromCache, fromStore] = [
        await cached.open(
          paths.filter((path) => elsewhere.has(path)),
          demand,
        ),
        await here.open(
          paths.filter((path) => !elsewhere.has(path)),
          demand,
        ),
      ]
      const [one, other] = [fromCache.sources.values(), fromStore.sources.values()]
      const sources = paths.flatMap((path) => (elsewhere.has(path) ? one : other).next().value ?? [])
      return { sources, close: () => fromCache.close() }
    },
  }
}

const hint = 'the operator can check whether the shared binary cache is damaged; see scaling.md'
const lost = ({ storePath, message }: BadPath): NixeryError =>
  new NixeryError(
    'BUILD_FAILED',
    `the bytes of ${storePath} that all workers use cannot be read: ${message}`,
    {
      hint,
    },
  )
const incomplete = (path: StorePath): NixeryError =>
  new NixeryError('BUILD_FAILED', `the shared binary cache lacks ${path}, to which a path in it refers`, {
    hint,
  })
