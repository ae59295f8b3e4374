import { rm } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import type { MemberKey } from '../catalog/catalog.ts'
import { takeLargest, type Ahead } from '../contents/cache/ahead.ts'
import { factsOf } from '../contents/cache/cached.ts'
import type { InCache } from '../contents/cache/caches.ts'
import { largestFile } from '../contents/cache/download.ts'
import type { CacheRoom } from '../contents/cache/fetch.ts'
import type { PackedLayer, Packer } from '../layers/pack.ts'
import { smallPath } from '../layers/stable.ts'
import type { PartialDemand } from '../queue/demand.ts'
import { memberKey } from './layers.ts'

/**
 * Packing that begins before the layers of an image are planned, since the closure is known only when all narinfos have come,
 * and threads would be idle until then. Each path is packed as a layer of its own, which most are in the end; of the
 * others, the member is copied, whose bytes do not depend on the layer that it is in.
 */
export type PackedAhead = {
  /** Packs a path that has come, if it is not small and a thread may be idle; the largest first. */
  offer(found: InCache): void
  /**
   * The layer of a path that is being packed, once: from then on it is the caller's. Undefined for any other path, or if
   * the layer is larger than there is room for; rejects as `Packer.pack` does.
   */
  take(key: MemberKey): Promise<ReadyLayer | undefined>
  /** Nothing begins any more. */
  stop(): void
  /** The same; and waits for the threads, and removes what nobody has taken. */
  close(): Promise<void>
}

/** A layer in the spool, and what removes it there unless it has been moved. */
export type ReadyLayer = { readonly packed: PackedLayer; readonly release: () => Promise<void> }

export type PackedAheadDeps = PartialDemand & {
  readonly packer: Pick<Packer, 'pack' | 'compressorId'>
  /** Has the paths that have come. */
  readonly ahead: Pick<Ahead, 'take'>
  readonly room: Pick<CacheRoom, 'budgetAhead'>
  /** The number of paths that are packed at once; by default, of threads. */
  readonly atOnce?: number
}

export function createPackedAhead({
  packer,
  ahead,
  room: { budgetAhead },
  urgency,
  signal,
  atOnce = availableParallelism(),
}: PackedAheadDeps): PackedAhead {
  const waiting = new Set<InCache>()
  const begun = new Map<MemberKey, Promise<ReadyLayer | undefined>>()
  const ending = new AbortController()
  const demand = { signal: signal ? AbortSignal.any([signal, ending.signal]) : ending.signal, urgency }
  let running = 0
  let isOver = false

  const pack = async (found: InCache, giveBack: () => void): Promise<ReadyLayer | undefined> => {
    const { storePath, narSize } = found.narinfo
    const packed = await (async () => {
      const held = await ahead.take(storePath, demand)
      if (!held) return undefined
      try {
        return await packer.pack([{ nar: held.source }], { ...demand, size: narSize })
      } finally {
        await held.release()
      }
    })().finally(giveBack)
    // What was taken was for the largest layer that the NAR should give.
    const giveBackAll = packed && budgetAhead.takeNow(packed.layer.size)
    const release = async () => {
      if (packed) await rm(packed.file, { force: true })
      giveBackAll?.()
    }
    if (packed && giveBackAll) return { packed, release }
    await release()
    return undefined
  }
  const next = () => {
    for (let free = isOver ? 0 : atOnce - running; free > 0;) {
      const found = takeLargest(waiting)
      if (!found) return
      const giveBack = budgetAhead.takeNow(largestFile(found.narinfo.narSize))
      if (!giveBack) continue
      free -= 1
      running += 1
      const ready = pack(found, giveBack).finally(() => {
        running -= 1
        next()
      })
      ready.catch(() => {}) // told to who takes it
      begun.set(memberKey(factsOf(found), packer.compressorId), ready)
    }
  }
  const stop = () => {
    isOver = true
    waiting.clear()
  }

  return {
    stop,
    offer(found) {
      if (isOver || found.narinfo.narSize < smallPath) return
      waiting.add(found)
      next()
    },
    async take(key) {
      const ready = begun.get(key)
      begun.delete(key)
      return ready
    },
    async close() {
      stop()
      ending.abort()
      const left = [...begun.values()]
      begun.clear()
      await Promise.all(left.map((ready) => ready.then((layer) => layer?.release()).catch(() => {})))
    },
  }
}
