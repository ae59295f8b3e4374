import { commitTeller } from './commit.ts'
import { createMirror } from './mirror.ts'
import { isCommit, type Ref } from './refs.ts'
import { inStore, unknownTag, withoutCredentials, type RemoteOptions } from './remote.ts'
import type { PackageSource, PinnedSet } from './source.ts'
import { usability } from './usable.ts'

/**
 * A git repository (`NIXERY_PKGS_REPO`): `latest` is its HEAD, 40 hexadecimal digits are a commit, and any other tag is
 * a branch or tag. Refs that the operator allows must reach all of these.
 */
export function gitSource(url: string, options: RemoteOptions): PackageSource {
  const { fetcher, fetched, fetches } = options
  const mirror = createMirror(url, false, options)
  const tell = commitTeller(url, mirror.folder, options)
  const meaning = (tag: string): Promise<Ref | undefined> => {
    if (tag === 'latest') return mirror.head()
    return isCommit(tag) ? mirror.reached(tag) : mirror.named(tag)
  }
  const pin = async (tag: string): Promise<PinnedSet> => {
    const found = await meaning(tag)
    if (!found) throw unknownTag(tag === 'latest' ? noHead : undefined)
    const { commit } = found
    const bring = (rootOf: Parameters<typeof fetcher.fetch>[1]) =>
      fetcher.fetch({ mirror: mirror.folder, commit }, rootOf)
    const path = await fetched
      .fixed(`${url} ${commit}`, (rootOf) =>
        tag === 'latest' ? bring(rootOf) : fetches(() => bring(rootOf)),
      )
      .catch((error: unknown) => {
        mirror.distrust()
        throw error
      })
    if (tag === 'latest') fetched.current(url, [path])
    return { ...inStore(path, fetched), origin: mirror.origin(commit), commit: await tell(commit) }
  }
  return {
    description: `git repository ${withoutCredentials(url)}`,
    usable: usability(() => pin('latest')),
    history: mirror.history,
    tags: async () => ['latest', ...(await mirror.tags())],
    pin,
  }
}

/** Logged for the operator. */
const noHead = new Error('the repository is empty, or no ref that NIXERY_REFS allows reaches its HEAD')
