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
 * Packs paths before the layers of an image are planned: planning needs the whole closure, which is known only after the
 * last narinfo has arrived, and threads would be idle until then. Each path is packed as a separate layer, which is the
 * final layer of most paths. For the others, the packed member is copied: its bytes do not depend on the layer.
 */
export type PackedAhead = {
  /** Packs a downloaded path, unless it is small, when a thread may be idle; the largest first. */
  offer(found: InCache): void
  /**
   * Returns the layer of a path that is being packed, once: the caller then owns it. Undefined for any other path, or if
   * there is no room for the layer; rejects like `Packer.pack`.
   */
  take(key: MemberKey): Promise<ReadyLayer | undefined>
  /** Starts nothing from now on. */
  stop(): void
  /** Stops, waits for the threads, and removes layers that no build took. */
  close(): Promise<void>
}

/** A layer in the spool, and a function that removes it unless it was moved. */
export type ReadyLayer = { readonly packed: PackedLayer; readonly release: () => Promise<void> }

export type PackedAheadDeps = PartialDemand & {
  readonly packer: Pick<Packer, 'pack' | 'compressorId'>
  /** Has the downloaded paths. */
  readonly ahead: Pick<Ahead, 'take'>
  readonly room: Pick<CacheRoom, 'budgetAhead'>
  /** The number of paths to pack at once; by default, the number of threads. */
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
  const started = new Map<MemberKey, Promise<ReadyLayer | undefined>>()
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
    // The budget was taken for the largest layer that this NAR can result in.
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
      ready.catch(() => {}) // reported to the caller of take
      started.set(memberKey(factsOf(found), packer.compressorId), ready)
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
      const ready = started.get(key)
      started.delete(key)
      return ready
    },
    async close() {
      stop()
      ending.abort()
      const left = [...started.values()]
      started.clear()
      await Promise.all(left.map((ready) => ready.then((layer) => layer?.release()).catch(() => {})))
    },
  }
}
