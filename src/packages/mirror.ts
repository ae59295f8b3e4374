import { hash } from 'node:crypto'
import { join } from 'node:path'
import { hasCode } from '../errors.ts'
import { createRefList, type Snapshot } from './ref-list.ts'
import { allowedRefs, fetchable, isAllowed, isCommit, type Ref } from './refs.ts'
import { unknownTag, withoutCredentials, type RemoteOptions } from './remote.ts'
import type { History, PinnedSet } from './source.ts'

/** Answers questions about the allowed refs of a repository from a local copy. */
export type Mirror = {
  readonly folder: string
  /** The allowed ref with this name. */
  named(tag: string): Promise<Ref | undefined>
  /** The commit that HEAD names, if an allowed ref reaches it. */
  head(): Promise<Ref | undefined>
  /** An allowed ref that reaches a full commit; undefined if there is none. */
  reached(commit: string): Promise<Ref | undefined>
  /** The image tags that stand for allowed refs. */
  tags(): Promise<readonly string[]>
  /** Its commits; see `History`. */
  readonly history: History
  /** The origin of a package set that is a commit. */
  origin(commit: string): NonNullable<PinnedSet['origin']>
  /** Schedules a refresh of the mirror, which turned out to be damaged. */
  distrust(): void
}

/**
 * A mirror of a git repository. It is first fetched on demand, then at most once per `ttl`, or once a minute for unknown
 * refs and commits. Commits that are no longer reached, such as those of a deleted or force-pushed branch, are refused
 * after a refresh.
 * @param commitsOnly set if the files come from elsewhere
 */
export function createMirror(url: string, commitsOnly: boolean, options: RemoteOptions): Mirror {
  const { fetcher, allowed, mirrorsDirectory, queries } = options
  const folder = join(mirrorsDirectory, hash('sha256', JSON.stringify([url, commitsOnly])))
  const list = createRefList({
    ...options,
    async load() {
      await fetcher.updateMirror({ folder, url, refs: fetchable(allowed), commitsOnly })
      void fetcher.tidyMirror(folder).catch(() => {})
      return allowedRefs(await fetcher.mirrorRefs(folder), allowed)
    },
    async last() {
      const refs = await fetcher.mirrorRefs(folder).catch(() => undefined)
      return refs?.size ? allowedRefs(refs, allowed) : undefined
    },
  })

  const reachingRefs = (commit: string) =>
    queries(() => fetcher.refsReaching(folder, commit)).catch((error: unknown) => {
      if (hasCode(error, 'SOURCE_UNREACHABLE')) list.distrust()
      throw error
    })
  const reachedIn = async ({ refs, proofs }: Snapshot, commit: string): Promise<Ref | undefined> => {
    let proof = proofs.get(commit)
    if (!proof) {
      const tip = [...refs].find(([ref, each]) => each === commit && ref !== 'HEAD')?.[0]
      const reaching = tip === undefined ? await reachingRefs(commit) : [tip]
      proof = { ref: reaching.find((ref) => isAllowed(ref, allowed)) }
      proofs.set(commit, proof)
    }
    return proof.ref === undefined ? undefined : { ref: proof.ref, commit }
  }

  const named = (tag: string) => list.lookUp((snapshot) => snapshot.named.get(tag))
  const reached = (commit: string) => list.lookUp((snapshot) => reachedIn(snapshot, commit))
  const head = () =>
    list.lookUp((snapshot) => {
      const commit = snapshot.refs.get('HEAD')
      return commit === undefined ? undefined : reachedIn(snapshot, commit)
    })
  const history: History = {
    id: withoutCredentials(url),
    async commits(back) {
      const newest = await head()
      const end =
        typeof back === 'number' ? back : (await (isCommit(back) ? reached(back) : named(back)))?.commit
      if (!newest) throw unknownTag()
      const log = (until: string | number) =>
        queries(() => fetcher.commitLog(folder, { newest: newest.commit, back: until }))
      if (end !== undefined) return log(end)
      if (typeof back !== 'string' || !abbreviated.test(back)) throw unknownTag()
      const all = await log(beginning)
      const [meant, ...others] = all.filter(({ commit }) => commit.startsWith(back))
      if (!meant || others.length > 0) throw unknownTag()
      return all.slice(0, all.indexOf(meant) + 1)
    },
  }

  return {
    folder,
    history,
    origin: (commit) => ({ commit, time: () => queries(() => fetcher.commitTime(folder, commit)) }),
    named,
    head,
    reached,
    tags: async () => [...(await list.current()).named.keys()],
    distrust: () => list.distrust(),
  }
}

/** As git prints commits. */
const abbreviated = /^[0-9a-f]{7,39}$/

/** Seconds since 1970, before the first commit of any git repository. git does not read small numbers as times. */
const beginning = 100_000_000
