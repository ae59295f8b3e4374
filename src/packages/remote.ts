import { hash } from 'node:crypto'
import { readlink } from 'node:fs/promises'
import { join } from 'node:path'
import { hasCode, NixeryError } from '../errors.ts'
import { isTag } from '../image/name.ts'
import { parseStorePath, type StorePath } from '../image/store-path.ts'
import { createPins } from './pins.ts'
import type { PackageSource, PinnedSet } from './source.ts'

/** How sources get what they need from Nix and git. */
export type Fetcher = {
  /** Brings sources into the store and keeps them there by the root at this path. */
  fetch(
    sources: { tarball: string } | { git: { url: string; rev: string; ref?: string } },
    root: string,
  ): Promise<StorePath>
  remoteRefs(url: string, patterns: readonly string[]): Promise<Map<string, string>>
  lockFlake(reference: string): Promise<{ url: string; revision: string }>
}

export type RemoteOptions = {
  readonly fetcher: Fetcher
  /** Milliseconds for which a moving name keeps its meaning. */
  readonly ttl: number
  /** Folder of the roots that keep fetched sources. */
  readonly rootsDirectory: string
  readonly note: (line: string) => void
}

const commit = /^[0-9a-f]{40}$/
const forEver = 365 * 24 * 3_600_000

/** A set in the store: its path is its revision, and does not change. */
const inStore = (folder: StorePath): PinnedSet => ({
  set: { folder },
  revision: folder,
  unchanged: () => Promise.resolve(true),
})

/** What was fetched once for a name that cannot move is still in the store, kept by its root. */
async function fetchedBefore(root: string): Promise<StorePath | undefined> {
  const target = await readlink(root).catch(() => undefined)
  return target === undefined ? undefined : parseStorePath(target)
}

const rootFor = (directory: string, name: string): string => join(directory, hash('sha256', name))

/**
 * nixpkgs, or any set as tarballs (`NIXERY_CHANNEL`).
 * @param template the tarball's address, `{channel}` standing for a channel, branch, tag or commit
 * @param allowed which tags name another channel; commits always do
 */
export function channelSource(
  channel: string,
  {
    template,
    allowed,
    anyTag,
    ...options
  }: RemoteOptions & { template: string; allowed: RegExp | undefined; anyTag: boolean },
): PackageSource {
  const load = async (name: string): Promise<PinnedSet> => {
    const root = rootFor(options.rootsDirectory, `${template} ${name}`)
    const before = commit.test(name) ? await fetchedBefore(root) : undefined
    const fetch = () => options.fetcher.fetch({ tarball: template.replaceAll('{channel}', name) }, root)
    return inStore(before ?? (await (name === channel ? fetch() : orUnknown(fetch()))))
  }
  const moving = createPins({ ...options, load })
  const fixed = createPins({ ...options, load, ttl: forEver })
  return {
    description: `channel ${channel}`,
    tags: () => Promise.resolve(anyTag ? undefined : ['latest', channel]),
    async pin(tag) {
      const known = tag === 'latest' || tag === channel
      const other = !known && (commit.test(tag) || allowed?.test(tag) === true)
      if (!known && !other && !anyTag) throw unknownTag('this registry serves no such channel')
      const name = other ? tag : channel
      return commit.test(name) ? fixed(name) : moving(name)
    },
  }
}

/** A git repository (`NIXERY_PKGS_REPO`): `latest` is its HEAD, 40 hex digits a commit, all else a branch or tag. */
export function gitSource(url: string, options: RemoteOptions): PackageSource {
  const { fetcher, rootsDirectory } = options
  const fetchCommit = async (rev: string, ref?: string): Promise<PinnedSet> => {
    const root = rootFor(rootsDirectory, `${url} ${rev}`)
    const before = await fetchedBefore(root)
    const fetch = () => fetcher.fetch({ git: { url, rev, ...(ref !== undefined && { ref }) } }, root)
    return inStore(before ?? (await orUnknown(fetch())))
  }
  const moving = createPins({
    ...options,
    async load(tag) {
      // An annotated tag is an object of its own; `^{}` is the commit that it names.
      const wanted =
        tag === 'latest' ? ['HEAD'] : [`refs/heads/${tag}`, `refs/tags/${tag}^{}`, `refs/tags/${tag}`]
      const refs = await fetcher.remoteRefs(
        url,
        tag === 'latest' ? wanted : [`refs/heads/${tag}`, `refs/tags/${tag}*`],
      )
      const ref = wanted.find((each) => refs.has(each))
      const rev = ref === undefined ? undefined : refs.get(ref)
      if (ref === undefined || rev === undefined) throw unknownTag('the repository has no such branch or tag')
      return fetchCommit(rev, ref.replace('^{}', ''))
    },
  })
  const fixed = createPins({ ...options, ttl: forEver, load: (rev) => fetchCommit(rev) })
  // For as long as a branch keeps its meaning, so that who lists often starts nothing.
  const listed = createPins({
    ...options,
    async load() {
      const refs = await fetcher.remoteRefs(url, ['refs/heads/*', 'refs/tags/*'])
      const names = [...refs.keys()].map((ref) => ref.replace(/^refs\/(heads|tags)\//, '').replace('^{}', ''))
      return ['latest', ...new Set(names.filter((name) => isTag(name) && canBeRef(name)))]
    },
  })
  return {
    description: `git repository ${url.replace(/:\/\/[^/@\s]+@/, '://')}`,
    tags: () => listed('tags'),
    async pin(tag) {
      if (!canBeRef(tag)) throw unknownTag('no branch or tag can have this name')
      return commit.test(tag) ? fixed(tag) : moving(tag)
    },
  }
}

/** A flake (`NIXERY_FLAKE`); a tag other than `latest` is appended as its ref. */
export function flakeSource(reference: string, options: RemoteOptions): PackageSource {
  const pins = createPins({
    ...options,
    async load(tag): Promise<PinnedSet> {
      const wanted = tag === 'latest' ? reference : withRef(reference, tag)
      const locked = options.fetcher.lockFlake(wanted)
      const { url, revision } = await (tag === 'latest' ? locked : orUnknown(locked))
      return {
        set: { flake: url },
        revision: `flake-${url}-${revision}`,
        unchanged: () => Promise.resolve(true),
      }
    },
  })
  return { description: `flake ${reference}`, tags: () => Promise.resolve(undefined), pin: pins }
}

function withRef(reference: string, tag: string): string {
  const [address = '', query] = reference.split('?')
  if (/^(github|gitlab|sourcehut):/.test(address)) return `${address.split('/').slice(0, 2).join('/')}/${tag}`
  const parameter = commit.test(tag) ? 'rev' : 'ref'
  return `${address}?${query === undefined ? '' : `${query}&`}${parameter}=${tag}`
}

const canBeRef = (tag: string): boolean => !/\.\.|\.lock$|\.$/.test(tag)

const isMissing = (error: unknown): boolean =>
  hasCode(error, 'SOURCE_UNREACHABLE') &&
  (error.detail as { missing?: boolean } | undefined)?.missing === true

/** A source that can be reached and lacks what a tag names: to ask again would not help. */
async function orUnknown<T>(fetched: Promise<T>): Promise<T> {
  try {
    return await fetched
  } catch (error) {
    if (!isMissing(error)) throw error
    throw new NixeryError('MANIFEST_UNKNOWN', 'the packages have no such branch, tag or commit', {
      cause: error,
    })
  }
}

const unknownTag = (message: string) => new NixeryError('MANIFEST_UNKNOWN', message)
