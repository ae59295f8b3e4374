import { hash } from 'node:crypto'
import { join } from 'node:path'
import { hasCode } from '../errors.ts'
import { createRefList, type Snapshot } from './ref-list.ts'
import { allowedRefs, fetchable, isAllowed, type Ref } from './refs.ts'
import type { RemoteOptions } from './remote.ts'

/** What a repository's allowed refs hold, answered from a local copy. */
export type Mirror = {
  readonly folder: string
  /** What a name means: an allowed ref. */
  named(tag: string): Promise<Ref | undefined>
  /** The commit that HEAD names, if an allowed ref reaches it. */
  head(): Promise<Ref | undefined>
  /** A full commit, with an allowed ref that reaches it; undefined if there is none. */
  reached(commit: string): Promise<Ref | undefined>
  /** The tags by which the allowed refs can be asked for. */
  tags(): Promise<readonly string[]>
  /** Refreshes the mirror soon: it turned out to be damaged. */
  distrust(): void
}

/**
 * A mirror of a git repository. Nothing is fetched before it is first asked, and then at most once in `ttl`, or once
 * a minute for what is not there. Commits that were reached before and no longer are, such as those of a branch that
 * was deleted or force-pushed, are refused once the mirror was refreshed.
 * @param commitsOnly for a repository whose files come from elsewhere
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

  return {
    folder,
    named: (tag) => list.lookUp(({ named }) => named.get(tag)),
    head: () =>
      list.lookUp((snapshot) => {
        const commit = snapshot.refs.get('HEAD')
        return commit === undefined ? undefined : reachedIn(snapshot, commit)
      }),
    reached: (commit) => list.lookUp((snapshot) => reachedIn(snapshot, commit)),
    tags: async () => [...(await list.current()).named.keys()],
    distrust: () => list.distrust(),
  }
}
