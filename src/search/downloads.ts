import { randomUUID } from 'node:crypto'
import { rename, rm } from 'node:fs/promises'
import { hexOf, type Digest } from '../image/digest.ts'
import { isSound } from './check.ts'
import { retryAfter, type Intervals } from './intervals.ts'
import { messageOf, ofSet, prefixOf, UnusableIndex, type SetIndex } from './set-index.ts'
import type { SharedIndex, SharedIndexes } from './shared.ts'

/** The downloads of one set's index, as another process has stored it. */
export type Downloads = {
  /** Whether an index may be downloaded now: after each download of the same one, later. */
  isDue(latest: SharedIndex): boolean
  /**
   * Gets the bytes of an index, and uses it.
   * @returns whether that is possible; otherwise it must be made again
   * @throws what `fetch` throws
   */
  get(latest: SharedIndex): Promise<boolean>
}

export type DownloadsDeps = {
  readonly index: SetIndex
  readonly shared: Pick<SharedIndexes, 'fetch' | 'discard'>
  readonly intervals: Pick<Intervals, 'again'>
  /** Returns a signal that ends a transfer which takes too long. */
  readonly transferring: () => AbortSignal
  readonly report: (line: string) => void
}

export function createDownloads({
  index,
  shared,
  intervals,
  transferring,
  report,
}: DownloadsDeps): Downloads {
  let last: Digest | undefined
  let times = 0
  let dueAt = 0
  let discarded: Digest | undefined

  const put = async (latest: SharedIndex, part: string): Promise<boolean> => {
    if (!(await shared.fetch(latest, part, transferring()))) return false
    if (!(await isSound(part))) throw new UnusableIndex('it is damaged')
    const file = index.place(`${prefixOf(latest.rules)}${hexOf(latest.digest).slice(0, 16)}`)
    await rename(part, file)
    index.use(file)
    return true
  }
  return {
    isDue: ({ digest }) => digest !== last || performance.now() >= dueAt,
    async get(latest) {
      const { digest, rules } = latest
      if (digest !== last) times = 0
      last = digest
      const part = index.part(`${prefixOf(rules)}${randomUUID()}`)
      let isComplete = true
      try {
        return await put(latest, part)
      } catch (error) {
        if (!(error instanceof UnusableIndex)) {
          isComplete = false
          throw error
        }
        report(`the search index${ofSet(index)} of another process cannot be used: ${messageOf(error)}`)
        // Once, because this process may be what cannot use it.
        if (discarded !== digest) await shared.discard(latest)
        discarded = digest
        return false
      } finally {
        // If it then fails when it is read, the reason may be this machine's disk.
        if (isComplete) times += 1
        dueAt = performance.now() + Math.min(intervals.again * 2 ** Math.max(0, times - 1), retryAfter)
        await rm(part, { force: true })
      }
    },
  }
}
