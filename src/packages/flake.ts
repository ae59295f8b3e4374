import { commitFacts, withoutCommit } from './commit.ts'
import { repositoryOf, type FlakeRepository } from './flake-reference.ts'
import { createMirror } from './mirror.ts'
import { createPins } from './pins.ts'
import { createRefList } from './ref-list.ts'
import { allowedRefs, isCommit, isNarrow, type Ref } from './refs.ts'
import { unknownTag, withoutCredentials, type FlakeInStore, type RemoteOptions } from './remote.ts'
import type { PackageSource, PinnedSet } from './source.ts'
import { usability } from './usable.ts'

/**
 * A flake (`NIXERY_FLAKE`). `latest` is the flake that the reference names. If the flake is in a git repository, other
 * tags are its allowed branches, tags and the commits that they reach; a folder or a tarball has only `latest`.
 */
export function flakeSource(reference: string, options: RemoteOptions): PackageSource {
  const { fetcher, fetched, note } = options
  const lock = async (wanted: string): Promise<FlakeInStore> => {
    const flake = await fetched.together((rootOf) => fetcher.lockFlake(wanted, rootOf))
    if (flake.warning !== undefined)
      note(`inputs of flake ${withoutCredentials(wanted)} cannot be fetched:\n${flake.warning}`)
    return flake
  }
  const holds = ({ paths }: FlakeInStore): boolean => fetched.use(paths)
  const latest = createPins({ ...options, load: () => lock(reference), holds })
  const repository = repositoryOf(reference)
  const pinned = (flake: FlakeInStore): PinnedSet => {
    const origin = others && flake.commit ? { origin: originOf(flake.commit) } : {}
    if (options.tellsCommits !== true) return { ...pinnedSet(flake), ...origin }
    if (!flake.commit) throw withoutCommit()
    const { id, seconds } = flake.commit
    return { ...pinnedSet(flake), ...origin, commit: commitFacts(id, seconds, repository?.url ?? '') }
  }
  const pinLatest = async (): Promise<PinnedSet> => {
    const flake = await latest('latest')
    fetched.current(reference, flake.paths)
    return pinned(flake)
  }
  const others = repository && tagsOfRepository(repository, lock, holds, options)
  return {
    description: `flake ${withoutCredentials(reference)}`,
    usable: usability(pinLatest),
    history: others?.history,
    tags: async () => ['latest', ...((await others?.tags()) ?? [])],
    async pin(tag) {
      if (tag === 'latest') return pinLatest()
      const flake = await others?.lock(tag)
      if (!flake) throw unknownTag()
      return pinned(flake)
    },
  }
}

const pinnedSet = ({ url, revision }: FlakeInStore): PinnedSet => ({
  set: { flake: url },
  revision: `flake-${url}-${revision}`,
  unchanged: () => Promise.resolve(true),
})

const originOf = ({ id, seconds }: NonNullable<FlakeInStore['commit']>) => ({
  commit: id,
  time: () => Promise.resolve(seconds),
})

// Milliseconds. A commit never changes.
const forEver = 365 * 24 * 3_600_000

function tagsOfRepository(
  repository: FlakeRepository,
  lock: (reference: string) => Promise<FlakeInStore>,
  holds: (flake: FlakeInStore) => boolean,
  options: RemoteOptions,
) {
  const { fetcher, fetches, allowed } = options
  // Listing refs is cheap. Finding out which commits they reach needs all commits, so it waits until one is requested.
  const refs = createRefList({
    ...options,
    load: async () => allowedRefs(await fetcher.remoteRefs(repository.url, isNarrow(allowed)), allowed),
  })
  const mirror = createMirror(repository.url, true, options)
  const locked = createPins({
    ...options,
    ttl: forEver,
    load: (wanted) => fetches(() => lock(wanted)),
    holds,
  })
  const meaning = (tag: string): Promise<Ref | undefined> =>
    isCommit(tag) ? mirror.reached(tag) : refs.lookUp(({ named }) => named.get(tag))
  return {
    history: mirror.history,
    tags: async () => [...(await refs.current()).named.keys()],
    async lock(tag: string) {
      const found = await meaning(tag)
      return found && locked(repository.at(found.commit, found.ref))
    },
  }
}
