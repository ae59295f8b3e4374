import { formatPopularity } from '../closure/popularity.ts'
import { NixeryError, isNixeryError } from '../errors.ts'
import { findRelease } from './channel.ts'
import { countReferences, type ReferenceCounts, type Reading, type Tally } from './count.ts'
import { below, type Get } from './get.ts'
import { goodNarinfo, openNarinfoCache } from './narinfo-cache.ts'
import { readStorePaths, storePathHash } from './store-paths.ts'

/** What to count: the paths of a channel's release, or any list of paths in a binary cache. */
export type Subject =
  | { readonly channel: string; readonly site: URL }
  /** By default, the list is the cache's own `store-paths.xz`. */
  | { readonly storePaths: URL | undefined }

export type PopcountOptions = {
  readonly subject: Subject
  /** The binary cache. */
  readonly cache: URL
  /** Folder where narinfos are kept between runs. */
  readonly cacheDirectory: string
  /** The number of concurrent narinfo requests. */
  readonly concurrency: number
  readonly get: Get
  readonly signal?: AbortSignal | undefined
  /** Called with a line for each step. */
  readonly note: (line: string) => void
  readonly onProgress: (tally: Readonly<Tally>, total: number) => void
}

export type Popcount = {
  /** The content to publish at `NIX_POPULARITY_URL`. */
  readonly text: string
  /** The number of names with a count above 1. */
  readonly names: number
  /** The commit of the channel's release. */
  readonly commit: string | undefined
  /** The number of listed paths. */
  readonly paths: number
  /** Lines of the list that are not store paths. */
  readonly invalid: number
  readonly tally: Readonly<Tally>
  readonly examples: readonly string[]
}

// Bytes. References take at most a few hundred kilobytes.
const largestNarinfo = 1024 * 1024
// Without permission to list a bucket, S3 responds with 403 for a missing object; Nix treats both as missing.
const missingStatuses: ReadonlySet<number> = new Set([403, 404, 410])

/**
 * Counts how often the packages of a package set refer to each other, using the narinfos of a binary cache. Missing and
 * invalid narinfos are counted and ignored.
 * @throws SOURCE_INVALID if the channel, the list or all narinfos cannot be read, or the cache stops responding;
 * CONFIG_INVALID for an unusable name or folder, SETUP_FAILED without xz, the signal's reason
 */
export async function popcount(options: PopcountOptions): Promise<Popcount> {
  const { subject, cache, get, signal, note } = options
  const narinfos = await openNarinfoCache(options.cacheDirectory, cache, note)

  const release =
    'channel' in subject ? await findRelease(get, subject.site, subject.channel, signal) : undefined
  if (release && 'channel' in subject) note(`${subject.channel} is at commit ${release.commit}`)
  const listUrl = 'channel' in subject ? undefined : subject.storePaths
  const list = await readStorePaths(get, listUrl ?? below(release?.url ?? cache, 'store-paths.xz'), signal)
  note(`${list.paths.length} store paths`)

  const counted = await countReferences(
    list.paths,
    async (path, ended): Promise<Reading> => {
      const known = await narinfos.read(path)
      if (known) return { kind: 'kept', references: known.references }
      const address = below(cache, `${storePathHash(path)}.narinfo`)
      try {
        const { status, body } = await get(address, { limit: largestNarinfo, signal: ended })
        if (missingStatuses.has(status)) return { kind: 'missing', reason: `not in the cache (${status})` }
        if (status !== 200) return { kind: 'failed', reason: `the cache responded with ${status}` }
        const narinfo = goodNarinfo(path, body)
        if (!narinfo)
          return { kind: 'broken', reason: 'the narinfo is truncated, damaged or belongs to another path' }
        await narinfos.write(path, body)
        return { kind: 'fetched', references: narinfo.references }
      } catch (error) {
        if (ended.aborted || !isNixeryError(error)) throw error
        return { kind: 'failed', reason: error.message }
      }
    },
    {
      concurrency: options.concurrency,
      signal,
      onRead: (tally) => options.onProgress(tally, list.paths.length),
    },
  )
  if (counted.tally.kept + counted.tally.fetched === 0) throw nothingRead(counted)
  return {
    text: formatPopularity(counted.counts),
    names: counted.counts.values().reduce((sum, count) => sum + (count > 1 ? 1 : 0), 0),
    commit: release?.commit,
    paths: list.paths.length,
    invalid: list.invalid,
    tally: counted.tally,
    examples: counted.examples,
  }
}

const nothingRead = ({ tally, examples }: ReferenceCounts) =>
  new NixeryError(
    'SOURCE_INVALID',
    `no narinfo could be read: ${tally.missing} are not in the cache, ${tally.broken} are broken, ${tally.failed} could not be fetched`,
    { hint: `for one, ${examples[0] ?? ''}` },
  )
