import { isTag } from '../image/name.ts'
import { matchesGlob } from './glob.ts'

/** The refs of a repository, and the commits that they name. */
export type Refs = ReadonlyMap<string, string>

/** A ref, and the commit that it names. */
export type Ref = { readonly ref: string; readonly commit: string }

const commit = /^[0-9a-f]{40}$/

/** Whether a tag is a full commit. A ref with such a name cannot be requested: git also reads it as a commit. */
export const isCommit = (tag: string): boolean => commit.test(tag)

/**
 * Whether a forge may read a name as an abbreviated commit, possibly of another repository that shares objects:
 * hexadecimal digits, or the output of `git describe` (gitrevisions(7)).
 */
export const looksLikeCommit = (tag: string): boolean => /^(.*-g)?[0-9a-f]{4,64}$/i.test(tag)

/** Only HEAD, and the refs that a pattern of `NIXERY_REFS` matches. */
export const allowedRefs = (refs: Refs, patterns: readonly string[]): Refs =>
  new Map([...refs].filter(([ref]) => ref === 'HEAD' || isAllowed(ref, patterns)))

/** Whether a pattern of `NIXERY_REFS` matches a ref. */
export const isAllowed = (ref: string, patterns: readonly string[]): boolean =>
  patterns.some((pattern) => matchesGlob(pattern, ref))

/**
 * Patterns for `git fetch`, which allows one `*`. They match at least what the given patterns do. A ref without `*`
 * becomes a pattern as well, since git fails if a ref does not exist.
 */
export const fetchable = (patterns: readonly string[]): string[] => [
  ...new Set(
    patterns.map((pattern) => {
      const [first = '', ...rest] = pattern.split('*')
      return `${first}*${rest.at(-1) ?? ''}`
    }),
  ),
]

/** Whether the patterns match only branches and tags. */
export const isNarrow = (patterns: readonly string[]): boolean =>
  patterns.every((pattern) => /^refs\/(heads|tags)\//.test(pattern))

/** The image tag for a ref: `main` for `refs/heads/main`, `x` for `refs/deploy/x`. */
const nameOf = (ref: string): string => ref.replace(/^refs\/[^/]*\//, '')

const rank = (ref: string): number =>
  ref.startsWith('refs/heads/') ? 0 : ref.startsWith('refs/tags/') ? 1 : 2

/** Refs by image tag. If several have the same name, a branch wins, then a tag. HEAD has no name. */
export function refsByName(refs: Refs): Map<string, Ref> {
  const named = new Map<string, Ref>()
  const sorted = [...refs].filter(([ref]) => ref !== 'HEAD').sort(([a], [b]) => rank(a) - rank(b))
  for (const [ref, object] of sorted) {
    const name = nameOf(ref)
    if (!named.has(name) && isTag(name) && !isCommit(name)) named.set(name, { ref, commit: object })
  }
  return named
}
