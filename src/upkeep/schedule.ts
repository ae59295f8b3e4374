import type { CollectOptions } from './gc.ts'

/** Runs garbage collection periodically, for a server. */
export type Upkeep = {
  start(): void
  /** Aborts a running collection, and waits until it has ended. */
  stop(): Promise<void>
}

export type UpkeepOptions<T> = {
  readonly collect: (options: Pick<CollectOptions, 'dryRun' | 'now' | 'signal'>) => Promise<T>
  /** Seconds between the end of one run and the start of the next. */
  readonly interval: number
  readonly done: (collected: T, ms: number) => void
  readonly failed: (error: unknown) => void
}

export function createUpkeep<T>({ collect, interval, done, failed }: UpkeepOptions<T>): Upkeep {
  const stopping = new AbortController()
  let timer: NodeJS.Timeout | undefined
  let running: Promise<void> | undefined

  const run = async () => {
    const started = performance.now()
    try {
      const { signal } = stopping
      done(await collect({ dryRun: false, now: Date.now() / 1000, signal }), performance.now() - started)
    } catch (error) {
      if (!stopping.signal.aborted) failed(error)
    }
  }
  const later = () => {
    if (stopping.signal.aborted) return
    timer = setTimeout(() => {
      running = run().finally(later)
    }, interval * 1000).unref()
  }
  return {
    start: later,
    async stop() {
      stopping.abort()
      clearTimeout(timer)
      await running
    },
  }
}
