import type { StorePath } from '../../image/store-path.ts'
import { urgencies, type PartialDemand } from '../../queue/demand.ts'
import type { InCache } from './caches.ts'
import { fetchNar, holding, spooledSize, type CacheRoom, type DownloadListener, type Held } from './fetch.ts'

/**
 * Downloads of one image that begin as soon as a path's narinfo is verified, while narinfos of other paths are still
 * awaited: a closure is asked for in as many round trips as its references are deep.
 */
export type Ahead = {
  /** Begins to download a path, if there is room and nobody else has begun. */
  begin(found: InCache): void
  /**
   * A download that has begun, once: from then on it is the caller's, and ends with the caller's signal.
   * @returns undefined for any other path; rejects as `download` does
   */
  take(path: StorePath, demand: PartialDemand): Promise<Held> | undefined
  /** Ends downloads that nobody has taken, and removes what has come. Nothing begins any more. */
  close(): Promise<void>
}

/**
 * @param urgency that of the image
 */
export function createAhead(
  room: CacheRoom,
  listener: DownloadListener,
  { urgency }: Pick<PartialDemand, 'urgency'>,
): Ahead {
  const begun = new Map<StorePath, { readonly held: Promise<Held>; readonly ending: AbortController }>()
  let isClosed = false
  return {
    begin(found) {
      const { storePath, narHash } = found.narinfo
      if (isClosed || begun.has(storePath) || room.ahead.has(narHash)) return
      // Of a budget of their own: were they to wait for room, or others for theirs, all could wait for each other.
      const giveBack = room.budgetAhead.takeNow(spooledSize(found, room))
      if (!giveBack) return
      room.ahead.add(narHash)
      const over = () => {
        room.ahead.delete(narHash)
        giveBack()
      }
      const ending = new AbortController()
      const demand = { urgency: urgency ?? (() => urgencies.waiting), signal: ending.signal }
      const held = fetchNar(found, room, listener, demand).then(
        (source) => holding(source, over),
        (error: unknown) => {
          over()
          throw error
        },
      )
      held.catch(() => {}) // told to who takes it
      begun.set(storePath, { held, ending })
    },
    take(path, { signal }) {
      const found = begun.get(path)
      if (!found) return undefined
      begun.delete(path)
      const { held, ending } = found
      if (!signal) return held
      const end = () => ending.abort(signal.reason)
      if (signal.aborted) end()
      else signal.addEventListener('abort', end, { once: true })
      return held.finally(() => signal.removeEventListener('abort', end))
    },
    async close() {
      isClosed = true
      const left = [...begun.values()]
      begun.clear()
      for (const { ending } of left) ending.abort()
      await Promise.all(left.map(({ held }) => held.then(({ release }) => release()).catch(() => {})))
    },
  }
}
