import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from './config.ts'
import { namedSets } from './config/set-config.ts'
import { hasCode } from './errors.ts'
import { indexFormat } from './search/index-file.ts'
import type { Search } from './search/query.ts'
import { createSearch } from './search/search.ts'
import { openSetIndex } from './search/set-index.ts'
import { createSharedSupply, type SharedSupplyOptions } from './search/shared-supply.ts'
import { parseStatus, type SharedIndexes } from './search/shared.ts'
import { packIndex, unpackIndex } from './search/transfer.ts'
import type { State } from './state.ts'
import { deleteOldIndexes } from './upkeep/old-indexes.ts'

// Not part of any image, so only the store sees it.
const mediaType = `application/vnd.nixery.search-index.v${indexFormat}+zstd`

/** The search indexes in the store that the processes of a fleet share. */
export function sharedIndexesOf({
  catalog,
  store,
  blobs,
}: Pick<State, 'catalog' | 'store' | 'blobs'>): SharedIndexes {
  const { searchIndexes } = catalog
  return {
    sets: () => searchIndexes.sets(indexFormat, parseStatus),
    want: (set, rules) => searchIndexes.want(indexFormat, set, rules),
    report: (set, status) => searchIndexes.report(indexFormat, set, status),

    async fetch(index, file, signal) {
      const { digest } = index
      try {
        if (await unpackIndex(await blobs.read(digest), index, file, signal)) return true
        // It may have been read incompletely; only what is damaged in the store is lost.
        await blobs.doubt(digest)
        if ((await blobs.find(digest)) === index.size) throw new Error('its bytes could not be read')
      } catch (error) {
        if (!hasCode(error, 'BLOB_UNKNOWN')) throw error
      }
      await searchIndexes.forget([digest])
      return false
    },

    discard: ({ digest }) => searchIndexes.forget([digest]),

    async publish(set, file, facts, signal) {
      const spooled = join(blobs.spoolDirectory, `search-index.${randomUUID()}`)
      try {
        const packed = await packIndex(file, spooled, signal)
        await blobs.publish({ ...packed, mediaType }, { file: spooled })
        await searchIndexes.add(indexFormat, set, { ...facts, ...packed })
      } finally {
        await rm(spooled, { force: true })
      }
      await deleteOldIndexes({ catalog, store }, signal)
    },
  }
}

/**
 * Opens the search of a process without package sets, over the indexes that workers make.
 * @returns undefined with NIXERY_SEARCH=off
 */
export function openFrontSearch(
  config: Config,
  state: Pick<State, 'catalog' | 'store' | 'blobs'>,
  options: Pick<SharedSupplyOptions, 'note' | 'warn' | 'background' | 'signal'>,
): Search | undefined {
  const { NIXERY_SEARCH: mode, NIXERY_DATA: data } = config
  if (mode === 'off') return undefined
  const names = namedSets(config)?.map(({ name }) => name) ?? [undefined]
  const folder = join(data, 'search')
  const indexes = names.map((name) => openSetIndex({ folder, name, warn: options.warn }))
  const supply = createSharedSupply(
    indexes.map((index) => ({ index })),
    undefined,
    { ...options, mode, shared: sharedIndexesOf(state) },
  )
  return createSearch(supply.sets, () => supply.close())
}
