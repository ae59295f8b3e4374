/** What is still to be done when an answer is there, and what ends only when it is done. */
export type Later = {
  /** A failure is nobody's: what could not be done is done again when it is needed. */
  add(work: Promise<unknown>): void
  /** Waits for all that was added, `longest` milliseconds at most. */
  settled(longest: number): Promise<void>
}

export function createLater(): Later {
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
