import { isTag } from '../image/name.ts'
import { matchesGlob } from './glob.ts'

/** Commits by ref, as a repository has them. */
export type Refs = ReadonlyMap<string, string>

/** A ref, and the commit that it names. */
export type Ref = { readonly ref: string; readonly commit: string }

const commit = /^[0-9a-f]{40}$/

/** Whether a tag is a full commit. A ref cannot be asked for by such a name: git takes it for the commit, too. */
export const isCommit = (tag: string): boolean => commit.test(tag)

/**
 * Whether a forge may take a name for an abbreviated commit, of any repository that shares its objects: hexadecimal
 * digits, or what `git describe` prints (gitrevisions(7)).
 */
export const looksLikeCommit = (tag: string): boolean => /^(.*-g)?[0-9a-f]{4,64}$/i.test(tag)

/** Only HEAD, and the refs that a pattern of `NIXERY_REFS` matches. */
export const allowedRefs = (refs: Refs, patterns: readonly string[]): Refs =>
  new Map([...refs].filter(([ref]) => ref === 'HEAD' || isAllowed(ref, patterns)))

/** Whether a pattern of `NIXERY_REFS` matches a ref. */
export const isAllowed = (ref: string, patterns: readonly string[]): boolean =>
  patterns.some((pattern) => matchesGlob(pattern, ref))

/**
 * Patterns that git can fetch by, which allows one `*`. They match at least what the given ones do; a ref without `*`
 * becomes a pattern as well, since git fails for a ref that does not exist.
 */
export const fetchable = (patterns: readonly string[]): string[] => [
  ...new Set(
    patterns.map((pattern) => {
      const [first = '', ...rest] = pattern.split('*')
      return `${first}*${rest.at(-1) ?? ''}`
    }),
  ),
]

/** Whether branches and tags are all that the patterns can match. */
export const isNarrow = (patterns: readonly string[]): boolean =>
  patterns.every((pattern) => /^refs\/(heads|tags)\//.test(pattern))

/** The name by which a ref can be asked for: `main` for `refs/heads/main`, `x` for `refs/deploy/x`. */
const nameOf = (ref: string): string => ref.replace(/^refs\/[^/]*\//, '')

const rank = (ref: string): number =>
  ref.startsWith('refs/heads/') ? 0 : ref.startsWith('refs/tags/') ? 1 : 2

/** Refs by the name by which they can be asked for: of the same name, a branch wins, then a tag. HEAD has none. */
export function refsByName(refs: Refs): Map<string, Ref> {
  const named = new Map<string, Ref>()
  const sorted = [...refs].filter(([ref]) => ref !== 'HEAD').sort(([a], [b]) => rank(a) - rank(b))
  for (const [ref, object] of sorted) {
    const name = nameOf(ref)
    if (!named.has(name) && isTag(name) && !isCommit(name)) named.set(name, { ref, commit: object })
  }
  return named
}
