import type { StorePath } from '../image/store-path.ts'
import { commitTeller, withoutCommit } from './commit.ts'
import { createMirror } from './mirror.ts'
import { createPins } from './pins.ts'
import { createRefList } from './ref-list.ts'
import { allowedRefs, isCommit, isNarrow, looksLikeCommit } from './refs.ts'
import { inStore, orUnknown, unknownTag, type RemoteOptions } from './remote.ts'
import type { PackageSource } from './source.ts'
import { usability } from './usable.ts'

export type ChannelOptions = RemoteOptions & {
  /** The URL of the tarball; `{channel}` stands for a channel, branch, tag or commit. */
  readonly template: string
  /** Matches tags that name another channel. */
  readonly otherChannels: RegExp | undefined
  /** Whether unknown tags are ignored. */
  readonly anyTag: boolean
  /** Whether a tag may be a commit. */
  readonly commits: boolean
  /** The URL of the git repository to look up commits and refs in. */
  readonly repository: string
}

/**
 * nixpkgs, or any other package set that is published as tarballs (`NIXERY_CHANNEL`). The configured channel is always
 * served. A forge serves tarballs of every commit that it holds, including those of forks and pull requests. Therefore,
 * if a tag is a commit, an allowed ref must reach it; if a tag could be an abbreviated commit, it must be the name of an
 * allowed ref.
 */
export function channelSource(channel: string, options: ChannelOptions): PackageSource {
  const { fetcher, fetched, fetches, template, allowed, repository } = options
  const address = (name: string) => template.replaceAll('{channel}', name)
  const fixed = (name: string, queue: typeof fetches) =>
    fetched.fixed(`${template} ${name}`, (rootOf) =>
      queue(() => fetcher.fetch({ tarball: address(name) }, rootOf)),
    )
  const moving = (name: string) =>
    fetched.moving(`${template} ${name}`, (rootOf) => fetcher.fetch({ tarball: address(name) }, rootOf))

  const own = createPins({
    ...options,
    load: async () => ({ path: await (isCommit(channel) ? fixed(channel, now) : moving(channel)) }),
  })
  const others = createPins({
    ...options,
    load: async (name) => ({ path: await orUnknown(fetches(() => moving(name))) }),
  })
  const mirror = createMirror(repository, true, options)
  const tell = commitTeller(repository, mirror.folder, options)
  const refs = createRefList({
    ...options,
    load: async () => allowedRefs(await fetcher.remoteRefs(repository, isNarrow(allowed)), allowed),
  })

  const pathOf = async (tag: string): Promise<StorePath> => {
    if (tag === 'latest' || tag === channel) {
      const { path } = await own(channel)
      fetched.current(channel, [path])
      return path
    }
    if (isCommit(tag) && options.commits) {
      if (!(await mirror.reached(tag))) throw unknownTag()
      return orUnknown(fixed(tag, fetches))
    }
    const isOther = !isCommit(tag) && options.otherChannels?.test(tag) === true
    if (isOther && (!looksLikeCommit(tag) || (await refs.lookUp(({ named }) => named.get(tag))))) {
      return (await others(tag)).path
    }
    if (options.anyTag) return pathOf('latest')
    throw unknownTag()
  }

  return {
    description: `channel ${channel}`,
    usable: usability(() => pathOf('latest')),
    ...(options.commits && { history: mirror.history }),
    tags: () => Promise.resolve(options.anyTag ? undefined : ['latest', channel]),
    async pin(tag) {
      const path = await pathOf(tag)
      fetched.use([path])
      if (options.tellsCommits !== true) {
        const known = isCommit(tag) ? tag : isCommit(channel) ? channel : undefined
        const origin = options.commits && known !== undefined ? { origin: mirror.origin(known) } : {}
        return { ...inStore(path, fetched), ...origin }
      }
      // The configuration does not allow `anyTag` together with other channels.
      const commit = isCommit(tag) && options.commits ? tag : channel
      if (!(await mirror.reached(commit))) throw withoutCommit()
      return { ...inStore(path, fetched), commit: await tell(commit) }
    },
  }
}

const now = <T>(work: () => Promise<T>): Promise<T> => work()
