import { LRUCache } from 'lru-cache'
import { NixeryError } from '../errors.ts'
import type { CommitFacts } from '../image/labels.ts'
import type { RemoteOptions } from './remote.ts'

/** Tells of commits in a mirror what images are to say of them; nothing if they are to say nothing. */
export type TellCommit = (id: string) => Promise<CommitFacts | undefined>

/**
 * @param folder of a mirror that has the commits
 * @returns a function that throws SOURCE_UNREACHABLE if the mirror cannot be read, OVERLOADED
 */
export function commitTeller(
  url: string,
  folder: string,
  { fetcher, queries, tellsCommits = false }: Pick<RemoteOptions, 'fetcher' | 'queries' | 'tellsCommits'>,
): TellCommit {
  const known = new LRUCache<string, CommitFacts>({ max: 1000 })
  return async (id) => {
    if (!tellsCommits) return undefined
    const told = known.get(id) ?? commitFacts(id, await queries(() => fetcher.commitTime(folder, id)), url)
    known.set(id, told)
    return told
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

/** Of a source whose commit is to be told, and that has none, such as a flake in a folder with changes. */
export const withoutCommit = (): NixeryError =>
  new NixeryError('SOURCE_INVALID', 'the packages are of no commit that images could tell of', {
    hint: 'the operator must name a commit, or leave NIXERY_CREATED as it is',
  })

/** The address without what only the operator may know: credentials, parameters, folders of this machine. */
export function publicAddress(url: string): string | undefined {
  const parsed = URL.parse(url)
  if (!parsed || !/^(https?|ssh|git):$/.test(parsed.protocol)) return undefined
  return `${parsed.protocol}//${parsed.host}${parsed.pathname}`
}
