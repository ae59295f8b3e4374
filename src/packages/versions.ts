import {
  compareVersions,
  foldVersion,
  formatVersioned,
  matchesVersion,
  type Versioned,
} from '../image/version.ts'

/** An available version. */
export type AvailableVersion = {
  readonly version: string
  /** The commit to find it in; undefined for the pinned revision. */
  readonly commit?: string | undefined
  /** The time of that commit in seconds since 1970. */
  readonly at?: number | undefined
}

/**
 * The matching versions, best first: the requested one itself, then the newest. For equal versions, the pinned revision
 * comes before commits, and newer commits before older ones.
 */
export const matchingVersions = <T extends AvailableVersion>(wanted: string, available: readonly T[]): T[] =>
  available
    .filter(({ version }) => matchesVersion(wanted, foldVersion(version)))
    .sort((a, b) => {
      const [one, other] = [foldVersion(a.version), foldVersion(b.version)]
      return (
        Number(other === wanted) - Number(one === wanted) ||
        compareVersions(other, one) ||
        Number(a.commit !== undefined) - Number(b.commit !== undefined) ||
        (b.at ?? 0) - (a.at ?? 0)
      )
    })

/** Suggests at most three existing versions for one that does not exist: the next lower and higher, and the newest. */
export function nearestVersions(
  { name, version }: Versioned,
  available: readonly AvailableVersion[],
): string[] {
  const all = [...new Set(available.map((each) => foldVersion(each.version)))].sort(compareVersions)
  const before = all.findLast((each) => compareVersions(each, version) < 0)
  const after = all.find((each) => compareVersions(each, version) > 0)
  const found = [before, after, all.at(-1)].filter((each) => each !== undefined)
  return [...new Set(found)].map((each) => formatVersioned({ name, version: each }))
}
