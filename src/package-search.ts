import { join } from 'node:path'
import type { VersionIndex } from './catalog/versions.ts'
import type { Config } from './config.ts'
import { platformsBySet } from './config/set-config.ts'
import { defaultPlatform } from './image/platform.ts'
import { compareVersions, foldVersion } from './image/version.ts'
import type { PackageSource } from './packages/source.ts'
import type { Search } from './search/query.ts'
import { createSearch, type SearchDeps } from './search/search.ts'
import type { OpenSets } from './sets.ts'

/**
 * Opens the search over all package sets, for the platform that a plain name means.
 * @returns undefined with NIXERY_SEARCH=off
 */
export function openSearch(
  config: Config,
  { sets, listing }: Pick<OpenSets, 'sets' | 'listing'>,
  options: Pick<SearchDeps, 'note' | 'warn' | 'background'>,
): Search | undefined {
  const { NIXERY_SEARCH: mode, NIXERY_SEARCH_MEMORY: megabytes, NIXERY_DATA: data } = config
  if (mode === 'off') return undefined
  const platformsOf = platformsBySet(config)
  return createSearch({
    ...options,
    mode,
    folder: join(data, 'search'),
    memory: megabytes * 1e6,
    sets: [...sets.sources.keys()].flatMap((name) => {
      const set = listing(name)
      const { system } = platformsOf(name)[0] ?? defaultPlatform
      return set ? [{ ...set, name, system }] : []
    }),
  })
}

// The maximum number of versions of one package.
const mostVersions = 30

/** The versions of a package in the index, as in image names, newest first. */
export function versionsIn(
  index: VersionIndex,
  source: Pick<PackageSource, 'history'> | undefined,
  attribute: string,
): string[] {
  if (!source?.history) return []
  const found = index.find(source.history.id, attribute).map(({ version }) => foldVersion(version))
  return [...new Set(found)].sort((a, b) => compareVersions(b, a)).slice(0, mostVersions)
}
