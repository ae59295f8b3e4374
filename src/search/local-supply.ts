import { hasCode } from '../errors.ts'
import { checkInterval, retryAfter } from './intervals.ts'
import type { MadeSet, Maker } from './make.ts'
import type { Progress } from './query.ts'
import { messageOf, ofSet } from './set-index.ts'
import type { Supply } from './supply.ts'

export type SupplyOptions = {
  /** `on`: indexes are made at startup; `demand`: when a set is first searched. */
  readonly mode: 'on' | 'demand'
  /** Whether indexes are made automatically, and follow the package set. */
  readonly background: boolean
  readonly warn: (line: string) => void
}

/** Makes the index of a set in this process, and keeps it up to date, until the signal fires. */
export function supplyLocally(
  made: MadeSet,
  maker: Maker,
  { mode, background, warn }: SupplyOptions,
  stop: AbortSignal,
): Supply {
  const { set, index } = made
  let isWanted = mode === 'on' || index.current !== undefined
  let running: Promise<void> | undefined
  let progress: Progress | undefined
  let retryAt = 0

  const make = async () => {
    const pinned = await maker.pin(set)
    if (stop.aborted || index.current?.revision === pinned.revision) return
    await maker.make(made, pinned, (now) => (progress = now))
  }
  const refresh = (): Promise<void> => {
    running ??= make().finally(() => {
      running = undefined
      progress = undefined
    })
    return running
  }
  const look = async () => {
    if (!isWanted || !background || stop.aborted || performance.now() < retryAt) return
    try {
      await refresh()
    } catch (error) {
      retryAt = performance.now() + retryAfter
      if (stop.aborted || hasCode(error, 'CANCELLED')) return
      warn(`the search index${ofSet(index)} cannot be built: ${messageOf(error)}`)
    }
  }
  const timer = setInterval(() => void look(), checkInterval).unref()
  stop.addEventListener('abort', () => clearInterval(timer))
  void look()

  return {
    want() {
      isWanted = true
      void look()
    },
    isMaking: () => running !== undefined,
    progress: () => progress,
    refresh,
  }
}
