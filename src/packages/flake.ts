import { repositoryOf, type FlakeRepository } from './flake-reference.ts'
import { createMirror } from './mirror.ts'
import { createPins } from './pins.ts'
import { createRefList } from './ref-list.ts'
import { allowedRefs, isCommit, isNarrow, type Ref } from './refs.ts'
import { unknownTag, withoutCredentials, type RemoteOptions } from './remote.ts'
import type { PackageSource, PinnedSet } from './source.ts'
import { usability } from './usable.ts'

/**
 * A flake (`NIXERY_FLAKE`). `latest` is what the reference says. Where it is in a git repository, other tags are an
 * allowed branch or tag of that, or a commit that those reach; a flake that is a folder or a tarball has only `latest`.
 */
export function flakeSource(reference: string, options: RemoteOptions): PackageSource {
  const { fetcher } = options
  const lock = async (wanted: string): Promise<PinnedSet> => {
    const { url, revision } = await fetcher.lockFlake(wanted)
    return {
      set: { flake: url },
      revision: `flake-${url}-${revision}`,
      unchanged: () => Promise.resolve(true),
    }
  }
  const latest = createPins({ ...options, load: () => lock(reference) })
  const repository = repositoryOf(reference)
  const others = repository && tagsOfRepository(repository, lock, options)
  return {
    description: `flake ${withoutCredentials(reference)}`,
    usable: usability(() => latest('latest')),
    tags: async () => ['latest', ...((await others?.tags()) ?? [])],
    async pin(tag) {
      if (tag === 'latest') return latest('latest')
      const pinned = await others?.pin(tag)
      if (!pinned) throw unknownTag()
      return pinned
    },
  }
}

// A commit does not change its meaning (ms).
const forEver = 365 * 24 * 3_600_000

function tagsOfRepository(
  repository: FlakeRepository,
  lock: (reference: string) => Promise<PinnedSet>,
  options: RemoteOptions,
) {
  const { fetcher, fetches, allowed } = options
  // To know the refs is cheap; to know what they reach takes all commits, and is left to who asks for one.
  const refs = createRefList({
    ...options,
    load: async () => allowedRefs(await fetcher.remoteRefs(repository.url, isNarrow(allowed)), allowed),
  })
  const mirror = createMirror(repository.url, true, options)
  const locked = createPins({ ...options, ttl: forEver, load: (wanted) => fetches(() => lock(wanted)) })
  const meaning = (tag: string): Promise<Ref | undefined> =>
    isCommit(tag) ? mirror.reached(tag) : refs.lookUp(({ named }) => named.get(tag))
  return {
    tags: async () => [...(await refs.current()).named.keys()],
    async pin(tag: string) {
      const found = await meaning(tag)
      return found && locked(repository.at(found.commit, found.ref))
    },
  }
}
