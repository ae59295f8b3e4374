import type { StorePath } from '../../image/store-path.ts'
import { urgencies, type PartialDemand } from '../../queue/demand.ts'
import type { InCache } from './caches.ts'
import {
  downloadsAtOnce,
  fetchNar,
  laneOf,
  spooledSize,
  type CacheRoom,
  type DownloadListener,
  type Downloads,
  type SpooledNar,
} from './fetch.ts'

/**
 * Downloads for one image that start as soon as a path's narinfo is verified, while narinfos of other paths are still
 * being requested, because a closure takes as many round trips as its references are deep.
 */
export type Ahead = {
  /** Downloads a path if there is room and no download of it has started: a few at a time of each size, the largest first. */
  begin(found: InCache): void
  /**
   * Takes over a started download, once: from then on it belongs to the caller, and ends with the caller's signal.
   * @returns undefined for any other path; rejects like `download`
   */
  take(path: StorePath, demand: PartialDemand): Promise<SpooledNar> | undefined
  /** Starts nothing from now on. */
  stop(): void
  /** Stops, ends downloads that no caller took, and removes their files. */
  close(): Promise<void>
}

export type AheadOptions = Pick<PartialDemand, 'urgency'> & {
  /** Called for each downloaded path. */
  readonly onCome?: (found: InCache) => void
}

/** The maximum number of paths of each size that wait for a download; further ones are downloaded when they are needed. */
const mostWaiting = 1000

/** Removes the largest of some paths, and returns it. */
export function takeLargest(waiting: Set<InCache>): InCache | undefined {
  let best: InCache | undefined
  for (const one of waiting) if (!best || one.narinfo.narSize > best.narinfo.narSize) best = one
  if (best) waiting.delete(best)
  return best
}

/** @param options the urgency is that of the image */
export function createAhead(
  room: CacheRoom,
  listener: DownloadListener,
  { urgency, onCome }: AheadOptions,
): Ahead {
  const waiting = { small: new Set<InCache>(), large: new Set<InCache>() }
  const started = new Map<
    StorePath,
    { readonly held: Promise<SpooledNar>; readonly ending: AbortController }
  >()
  const running = { small: 0, large: 0 }
  let isOver = false

  /** Returns whether the download was started. */
  const download = (found: InCache, lane: keyof Downloads): boolean => {
    const { storePath, narHash } = found.narinfo
    if (started.has(storePath) || room.ahead.has(narHash)) return false
    // From a separate budget: if these downloads waited for space of others, or others for theirs, there could be a
    // deadlock.
    const giveBack = room.budgetAhead.takeNow(spooledSize(found, room))
    if (!giveBack) return false
    room.ahead.add(narHash)
    running[lane] += 1
    const over = () => {
      room.ahead.delete(narHash)
      giveBack()
    }
    const ending = new AbortController()
    const demand = { urgency: urgency ?? (() => urgencies.waiting), signal: ending.signal }
    const held = fetchNar(found, room, listener, demand)
      .then(
        ({ source, release }) => ({ source, release: () => release().finally(over) }),
        (error: unknown) => {
          over()
          throw error
        },
      )
      .finally(() => {
        running[lane] -= 1
        next(lane)
      })
    held.then(
      () => onCome?.(found),
      () => {}, // reported to the caller that takes it over
    )
    started.set(storePath, { held, ending })
    return true
  }
  const next = (lane: keyof Downloads) => {
    for (let free = isOver ? 0 : downloadsAtOnce[lane] - running[lane]; free > 0;) {
      const found = takeLargest(waiting[lane])
      if (!found) return
      if (download(found, lane)) free -= 1
    }
  }
  const stop = () => {
    isOver = true
    for (const set of Object.values(waiting)) set.clear()
  }

  return {
    stop,
    begin(found) {
      const lane = laneOf(found)
      if (isOver || waiting[lane].size >= mostWaiting) return
      waiting[lane].add(found)
      next(lane)
    },
    take(path, { signal }) {
      const found = started.get(path)
      if (!found) return undefined
      started.delete(path)
      const { held, ending } = found
      if (!signal) return held
      const end = () => ending.abort(signal.reason)
      if (signal.aborted) end()
      else signal.addEventListener('abort', end, { once: true })
      return held.finally(() => signal.removeEventListener('abort', end))
    },
    async close() {
      stop()
      const left = [...started.values()]
      started.clear()
      for (const { ending } of left) ending.abort()
      await Promise.all(left.map(({ held }) => held.then(({ release }) => release()).catch(() => {})))
    },
  }
}
