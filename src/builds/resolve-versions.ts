import type { VersionIndex } from '../catalog/versions.ts'
import { hasCode } from '../errors.ts'
import { decodeSpelling } from '../image/spelling.ts'
import type { StorePath } from '../image/store-path.ts'
import { foldVersion, splitVersion, type Versioned } from '../image/version.ts'
import type { Resolution } from '../packages/resolution.ts'
import type { PinnedSet } from '../packages/source.ts'
import { matchingVersions, nearestVersions, type AvailableVersion } from '../packages/versions.ts'

/** Other versions than those of the pinned revision. */
export type OtherVersions = {
  readonly index: Pick<VersionIndex, 'find' | 'add'>
  /** The package set's repository in the index. */
  readonly source: string
  /** Pins the set at a commit. @throws MANIFEST_UNKNOWN for a commit that no allowed ref reaches, SOURCE_UNREACHABLE */
  readonly pin: (commit: string) => Promise<PinnedSet>
}

/** A name with a version, as written and in its parts. */
export type WrittenVersion = Versioned & { readonly written: string }

/** The names that may contain a version. */
export const versionsIn = (names: readonly string[]): WrittenVersion[] =>
  names.flatMap((written) => {
    const versioned = splitVersion(written)
    return versioned ? [{ ...versioned, written }] : []
  })

// The maximum number of commits tried for one name: if the index is out of date, some may no longer exist.
const mostTried = 5

/**
 * Decides what names with versions mean, each in the revision that has the version. A name that the package set has
 * literally is left unchanged.
 * @param resolutions of these names as written, and without their versions, in the pinned revision; receives the
 * results
 * @param lookUp resolves a name in another revision, with the operator's filter
 * @returns the commits of packages that are not from the pinned revision
 * @throws what pinning throws, unless the commit no longer exists; and what `lookUp` throws
 */
export async function resolveVersions(
  names: readonly WrittenVersion[],
  resolutions: Map<string, Resolution>,
  others: OtherVersions | undefined,
  lookUp: (name: string, pinned: PinnedSet) => Promise<Resolution | undefined>,
): Promise<ReadonlyMap<StorePath, string>> {
  const commits = new Map<StorePath, string>()
  await Promise.all(
    names.map(async ({ written, ...wanted }) => {
      if (resolutions.get(written)?.status !== 'missing') return
      const here = resolutions.get(wanted.name)
      if (here?.status === 'denied') return void resolutions.set(written, here)
      const available = [...versionsHere(here), ...(others ? indexed(others, wanted.name) : [])]
      for (const { version, commit } of matchingVersions(wanted.version, available).slice(0, mostTried)) {
        if (commit === undefined || !others) return void (here && resolutions.set(written, here))
        const found = await inCommit(others, commit, wanted.name, lookUp)
        if (found?.status === 'package') {
          // On another platform, the commit may have another version.
          if (foldVersion(found.version) !== foldVersion(version)) continue
          resolutions.set(written, found)
          commits.set(found.drvPath, commit)
          return
        }
        if (found && found.status !== 'missing') {
          const reason = `${found.reason} (version ${version}, commit ${commit.slice(0, 12)})`
          return void resolutions.set(written, { ...found, reason })
        }
      }
      const nearest =
        here?.status === 'missing' && available.length === 0
          ? here.nearest
          : nearestVersions(wanted, available)
      resolutions.set(written, { status: 'missing', nearest })
    }),
  )
  return commits
}

const versionsHere = (found: Resolution | undefined): AvailableVersion[] =>
  found?.status === 'package' && found.version !== '' ? [{ version: found.version }] : []

/** Looks up a name in the index, as written or spelled. */
function indexed({ index, source }: OtherVersions, name: string): AvailableVersion[] {
  const found = index.find(source, name)
  if (found.length > 0) return found
  const spelled = name
    .split('.')
    .map((part) => decodeSpelling(part) ?? part)
    .join('.')
  return spelled === name ? [] : index.find(source, spelled)
}

async function inCommit(
  { pin }: OtherVersions,
  commit: string,
  name: string,
  lookUp: (name: string, pinned: PinnedSet) => Promise<Resolution | undefined>,
): Promise<Resolution | undefined> {
  try {
    return await lookUp(name, await pin(commit))
  } catch (error) {
    // No allowed ref reaches it, either no longer or not yet.
    if (!hasCode(error, 'MANIFEST_UNKNOWN')) throw error
    return undefined
  }
}

/** Records the versions of packages that were looked up in a commit. @throws what finding its time throws */
export async function noteVersions(
  { index, source }: OtherVersions,
  { origin }: PinnedSet,
  found: Iterable<Resolution>,
): Promise<void> {
  const packages = [...found].filter((each) => each.status === 'package' && each.version !== '')
  if (!origin || packages.length === 0) return
  const at = await origin.time()
  const rows = packages.flatMap((each) =>
    each.status === 'package'
      ? [{ attribute: each.package, version: each.version, commit: origin.commit, at }]
      : [],
  )
  index.add(source, rows)
}
