import type { PackageSource, PinnedSet } from './source.ts'

/** The age of the revision that is `latest` of a package set. */
export type RevisionAge = {
  /** Undefined for the only package set. */
  readonly set: string | undefined
  readonly seconds: number
}

/** Notes when package sets advance. */
export type RevisionAges = {
  /** The same source; what its `latest` is pinned to is noted. */
  watch(set: string | undefined, source: PackageSource): PackageSource
  /** Of the package sets that were pinned so far. Nothing is looked up for it. */
  ages(): RevisionAge[]
}

type Known = { readonly revision: string; since: number }

/**
 * An age is counted from the time of the commit, or, for a package set that is not a commit, from when this process saw
 * the revision for the first time.
 * @param now milliseconds since 1970
 */
export function createRevisionAges(now: () => number = Date.now): RevisionAges {
  const all = new Map<string | undefined, Known>()

  const note = (set: string | undefined, { revision, commit, origin }: PinnedSet) => {
    if (all.get(set)?.revision === revision) return
    const known: Known = { revision, since: now() }
    all.set(set, known)
    if (commit) known.since = Date.parse(commit.created)
    // The time is that of a local copy of the repository. If it cannot be read, it is as if there were no commit.
    else
      void origin?.time().then(
        (seconds) => (known.since = seconds * 1000),
        () => {},
      )
  }
  return {
    watch: (set, source) => ({
      ...source,
      async pin(tag, options) {
        const pinned = await source.pin(tag, options)
        if (tag === 'latest') note(set, pinned)
        return pinned
      },
    }),
    ages: () => [...all].map(([set, { since }]) => ({ set, seconds: Math.max(0, (now() - since) / 1000) })),
  }
}
