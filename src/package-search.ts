import { join } from 'node:path'
import type { VersionIndex } from './catalog/versions.ts'
import type { Config } from './config.ts'
import { platformsBySet } from './config/set-config.ts'
import { defaultPlatform } from './image/platform.ts'
import { compareVersions, foldVersion } from './image/version.ts'
import type { PackageSource } from './packages/source.ts'
import { supplyLocally, type SupplyOptions } from './search/local-supply.ts'
import { createMaker, rulesOf, type MadeSet, type MakerOptions } from './search/make.ts'
import type { Search } from './search/query.ts'
import { createSearch } from './search/search.ts'
import { openSetIndex, prefixOf } from './search/set-index.ts'
import { createSharedSupply, type SharedSupply } from './search/shared-supply.ts'
import type { OpenSets } from './sets.ts'
import { sharedIndexesOf } from './shared-search.ts'
import type { State } from './state.ts'

/** The search of a process that has the package sets. */
export type PackageSearch = Search & {
  /** Makes indexes for all processes that share a database; undefined if there are no others. */
  readonly lead?: SharedSupply['lead']
}

/**
 * Opens the search over all package sets, for the platform that a plain name means. With PostgreSQL, one of all processes
 * makes the indexes.
 * @returns undefined with NIXERY_SEARCH=off
 */
export function openSearch(
  config: Config,
  { sets, listing }: Pick<OpenSets, 'sets' | 'listing'>,
  state: Pick<State, 'catalog' | 'store' | 'blobs' | 'postgres'>,
  options: Omit<SupplyOptions, 'mode'> & Pick<MakerOptions, 'note'>,
): PackageSearch | undefined {
  const { NIXERY_SEARCH: mode, NIXERY_SEARCH_MEMORY: megabytes, NIXERY_DATA: data } = config
  if (mode === 'off') return undefined
  const { note, warn } = options
  const platformsOf = platformsBySet(config)
  const folder = join(data, 'search')
  const made = [...sets.sources.keys()].flatMap((name): MadeSet[] => {
    const listed = listing(name)
    if (!listed) return []
    const { system } = platformsOf(name)[0] ?? defaultPlatform
    const set = { ...listed, name, system }
    const rules = rulesOf(set)
    return [{ set, rules, index: openSetIndex({ folder, name, prefix: prefixOf(rules), warn }) }]
  })
  const maker = createMaker({ memory: megabytes * 1e6, note })
  if (state.postgres) {
    const shared = sharedIndexesOf(state)
    const supply = createSharedSupply(made, maker, { ...options, mode, shared })
    const end = async () => {
      await Promise.all([supply.close(), maker.close()])
    }
    return { ...createSearch(supply.sets, end), lead: (mayMake) => supply.lead(mayMake) }
  }
  const stop = new AbortController()
  const all = made.map((each) => ({
    index: each.index,
    supply: supplyLocally(each, maker, { ...options, mode }, stop.signal),
  }))
  return createSearch(all, async () => {
    stop.abort()
    await maker.close()
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
