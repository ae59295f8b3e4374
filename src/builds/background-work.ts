/** Work that continues after a response was sent. */
export type BackgroundWork = {
  /** Adds work. Its failures are ignored, since it is repeated when it is needed. */
  readonly add: (work: Promise<unknown>) => void
  /** Waits for all work, at most `longest` milliseconds. */
  readonly settled: (longest: number) => Promise<void>
}

export function createBackgroundWork(): BackgroundWork {
  const pending = new Set<Promise<unknown>>()
  return {
    add(work) {
      const settled: Promise<unknown> = work.catch(() => {}).then(() => pending.delete(settled))
      pending.add(settled)
    },
    async settled(longest) {
      const patience = Promise.withResolvers<void>()
      const timer = setTimeout(patience.resolve, longest)
      const all = async () => {
        while (pending.size > 0) await Promise.all(pending)
      }
      await Promise.race([all(), patience.promise])
      clearTimeout(timer)
    },
  }
}
