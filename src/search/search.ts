import { setImmediate as breathe } from 'node:timers/promises'
import { longestQuery, mostResults, type PackageEntry } from './entry.ts'
import type { Question, Search } from './query.ts'
import type { Match } from './index-file.ts'
import type { SearchableSet } from './supply.ts'

// The number of additional results to check if some may not be shown.
const mostHidden = 2_000
// Milliseconds for which results are checked before other work of the process gets a turn.
const slice = 4

/**
 * @param sets the default one first
 * @param end ends the supplies, before the indexes are closed
 */
export function createSearch(sets: readonly SearchableSet[], end: () => Promise<void>): Search {
  const setNamed = (name: string | undefined) =>
    name === undefined ? sets[0] : sets.find(({ index }) => index.name === name)

  /** Reads from an index. One that fails is discarded, and is got again. */
  function reading<T>(
    { index, supply }: SearchableSet,
    otherwise: T,
    work: Parameters<typeof index.read<T>>[1],
  ) {
    const had = index.current !== undefined
    const found = index.read(otherwise, work)
    if (had && !index.current) supply.want()
    return found
  }

  /** The first results that may be shown. */
  async function shownOf(
    set: SearchableSet,
    text: string,
    wanted: number,
    permits: Question['permits'],
  ): Promise<PackageEntry[]> {
    const { current } = set.index
    // All matches are read at once, so that nothing of the index stays open while other work is done.
    const read = (most: number) => reading<Match[]>(set, [], (open) => [...open.matches(text, most)])
    const first = read(wanted)
    let shown = permits ? first.filter(permits) : first
    if (permits && shown.length < first.length && first.length === wanted) {
      shown = []
      let since = performance.now()
      for (const match of read(wanted + mostHidden)) {
        if (permits(match)) shown.push(match)
        if (shown.length === wanted) break
        if (performance.now() - since < slice) continue
        await breathe()
        // The numbers are those of the index that was read.
        if (set.index.current !== current) return shownOf(set, text, wanted, permits)
        since = performance.now()
      }
    }
    return reading<PackageEntry[]>(set, [], (open) => shown.flatMap(({ id }) => open.entry(id) ?? []))
  }

  return {
    sets: sets.map(({ index }) => index.name),
    async find({ set: name, text, offset = 0, limit, permits, mayMake = true }) {
      const set = setNamed(name)
      if (!set) return undefined
      const { index, supply } = set
      if (!index.current && mayMake) supply.want()
      const wanted = Math.min(offset + limit + 1, mostResults + 1)
      const found = await shownOf(set, text.slice(0, longestQuery), wanted, permits)
      return {
        set: index.name,
        state: index.current ? 'ready' : supply.isMaking() ? 'making' : 'unavailable',
        revision: index.current?.revision,
        packages: index.current?.packages ?? 0,
        progress: supply.progress(),
        results: found.slice(offset, offset + limit),
        more: found.length > offset + limit,
      }
    },
    get(name, called) {
      const set = setNamed(name)
      return set && reading(set, undefined, (index) => index.get(called))
    },
    hints(name, called) {
      const set = setNamed(name)
      return set ? reading<string[]>(set, [], (index) => index.called(called)) : []
    },
    async refresh(name) {
      await setNamed(name)?.supply.refresh()
    },
    async close() {
      await end()
      for (const { index } of sets) index.close()
    },
  }
}
