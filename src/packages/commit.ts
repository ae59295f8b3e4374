import { LRUCache } from 'lru-cache'
import { NixeryError } from '../errors.ts'
import type { CommitFacts } from '../image/labels.ts'
import type { RemoteOptions } from './remote.ts'

/** Looks up the facts that images state about a commit of a mirror; undefined if images do not name commits. */
export type LookUpCommit = (id: string) => Promise<CommitFacts | undefined>

/**
 * @param folder of a mirror that has the commits
 * @returns a function that throws SOURCE_UNREACHABLE if the mirror cannot be read, OVERLOADED
 */
export function commitTeller(
  url: string,
  folder: string,
  { fetcher, queries, tellsCommits = false }: Pick<RemoteOptions, 'fetcher' | 'queries' | 'tellsCommits'>,
): LookUpCommit {
  const known = new LRUCache<string, CommitFacts>({ max: 1000 })
  return async (id) => {
    if (!tellsCommits) return undefined
    const facts = known.get(id) ?? commitFacts(id, await queries(() => fetcher.commitTime(folder, id)), url)
    known.set(id, facts)
    return facts
  }
}

/** @param seconds since 1970 */
export const commitFacts = (id: string, seconds: number, url: string): CommitFacts => {
  const source = publicAddress(url)
  return {
    id,
    created: new Date(seconds * 1000).toISOString().replace('.000Z', 'Z'),
    ...(source !== undefined && { source }),
  }
}

/** The error for a source without a commit, such as a flake in a folder with changes, if images must name one. */
export const withoutCommit = (): NixeryError =>
  new NixeryError('SOURCE_INVALID', 'the package set has no commit for NIXERY_CREATED=revision to use', {
    hint: 'the operator must use a package set with a commit, or unset NIXERY_CREATED',
  })

/** The URL without confidential parts: credentials, parameters, folders of this machine. */
export function publicAddress(url: string): string | undefined {
  const parsed = URL.parse(url)
  if (!parsed || !/^(https?|ssh|git):$/.test(parsed.protocol)) return undefined
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}`
}
