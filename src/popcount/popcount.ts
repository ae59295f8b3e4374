import { formatPopularity } from '../closure/popularity.ts'
import { NixeryError, isNixeryError } from '../errors.ts'
import { findRelease } from './channel.ts'
import { countReferences, type Counted, type Reading, type Tally } from './count.ts'
import { below, type Get } from './get.ts'
import { goodNarinfo, openNarinfoCache } from './narinfo-cache.ts'
import { readStorePaths, storePathHash } from './store-paths.ts'

/** Whose popularity: a channel's, as listed by its release, or that of any list of paths in a binary cache. */
export type Subject =
  | { readonly channel: string; readonly site: URL }
  /** The list is the cache's own `store-paths.xz` if none is given. */
  | { readonly storePaths: URL | undefined }

export type PopcountOptions = {
  readonly subject: Subject
  /** The binary cache. */
  readonly cache: URL
  /** Folder where narinfos are kept between runs. */
  readonly cacheDirectory: string
  /** Narinfos that are read at once. */
  readonly concurrency: number
  readonly get: Get
  readonly signal?: AbortSignal | undefined
  /** Gets a line for each step. */
  readonly note: (line: string) => void
  readonly onProgress: (tally: Readonly<Tally>, total: number) => void
}

export type Popcount = {
  /** What `NIX_POPULARITY_URL` is to lead to. */
  readonly text: string
  /** How many names have a count of more than 1. */
  readonly names: number
  /** Of the channel's release. */
  readonly commit: string | undefined
  /** How many paths were listed. */
  readonly paths: number
  /** Lines of the list that are not store paths. */
  readonly invalid: number
  readonly tally: Readonly<Tally>
  readonly examples: readonly string[]
}

// References are a line of at most some hundred kilobytes.
const largestNarinfo = 1024 * 1024
// Without the right to list a bucket, S3 answers 403 for what is not in it; Nix takes both for "not there".
const notThere: ReadonlySet<number> = new Set([403, 404, 410])

/**
 * Counts how often packages of a package set refer to each other, from what a binary cache says of them. Narinfos
 * that are not there or make no sense are counted and are no failure.
 * @throws SOURCE_INVALID when the channel, the list or every narinfo cannot be read, or the cache stops answering;
 * CONFIG_INVALID for a name or folder that cannot be used, SETUP_FAILED without xz, the signal's reason
 */
export async function popcount(options: PopcountOptions): Promise<Popcount> {
  const { subject, cache, get, signal, note } = options
  const kept = await openNarinfoCache(options.cacheDirectory, cache, note)

  const release =
    'channel' in subject ? await findRelease(get, subject.site, subject.channel, signal) : undefined
  if (release && 'channel' in subject) note(`${subject.channel} is at commit ${release.commit}`)
  const given = 'channel' in subject ? undefined : subject.storePaths
  const list = await readStorePaths(get, given ?? below(release?.url ?? cache, 'store-paths.xz'), signal)
  note(`${list.paths.length} store paths`)

  const counted = await countReferences(
    list.paths,
    async (path, ended): Promise<Reading> => {
      const known = await kept.read(path)
      if (known) return { kind: 'kept', references: known.references }
      const address = below(cache, `${storePathHash(path)}.narinfo`)
      try {
        const { status, body } = await get(address, { limit: largestNarinfo, signal: ended })
        if (notThere.has(status)) return { kind: 'missing', reason: `not in the cache (${status})` }
        if (status !== 200) return { kind: 'failed', reason: `the cache answers ${status}` }
        const narinfo = goodNarinfo(path, body)
        if (!narinfo)
          return { kind: 'broken', reason: 'the narinfo is cut short, damaged or of another path' }
        await kept.write(path, body)
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

const nothingRead = ({ tally, examples }: Counted) =>
  new NixeryError(
    'SOURCE_INVALID',
    `no narinfo could be read: ${tally.missing} are not in the cache, ${tally.broken} are broken, ${tally.failed} could not be fetched`,
    { hint: `for one, ${examples[0] ?? ''}` },
  )
