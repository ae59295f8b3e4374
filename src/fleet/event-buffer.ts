import { LRUCache } from 'lru-cache'
import type { BuildUpdate } from '../builds/builds.ts'
import type { BuildNews } from './event-rows.ts'

/** Collects the events of builds, and writes them in batches. */
export type EventBuffer = {
  add(build: string, event: BuildUpdate): void
  /** Writes the collected events. Does not fail: events that cannot be written are kept for the next attempt. */
  flush(): Promise<void>
  /** Tries to write the collected events. Later ones are ignored. */
  close(): Promise<void>
}

// Milliseconds from the first event to the write of its batch, and the size in UTF-16 units above which it is written
// at once.
const longestWait = 250
const largestBatch = 64_000
// The maximum number of events kept while the database does not respond; the oldest are dropped.
const mostKept = 5_000
// The number of Nix's lines of one build kept in the database; temporarily up to twice that number.
const mostLines = 2_000

export type EventBufferDeps = {
  /** Writes a batch; may fail. */
  readonly append: (news: readonly BuildNews[]) => Promise<void>
  /** Removes all but the last of Nix's lines of a build. */
  readonly forgetLines: (build: string, keep: number) => Promise<void>
}

export function createEventBuffer({ append, forgetLines }: EventBufferDeps): EventBuffer {
  let batch: BuildNews[] = []
  let size = 0
  let timer: NodeJS.Timeout | undefined
  let writing: Promise<void> = Promise.resolve()
  let isClosed = false

  const lines = new LRUCache<string, number>({ max: 1_000 })
  const forget = async (news: readonly BuildNews[]) => {
    const ofNix = news.filter(([, { type }]) => type === 'nix').map(([build]) => build)
    for (const build of new Set(ofNix)) {
      const count = (lines.get(build) ?? 0) + ofNix.filter((each) => each === build).length
      lines.set(build, count % mostLines)
      // A failure is harmless: it is repeated after the same number of lines.
      if (count >= mostLines) await forgetLines(build, mostLines).catch(() => {})
    }
  }
  const writeBatch = async () => {
    clearTimeout(timer)
    timer = undefined
    const news = batch
    batch = []
    size = 0
    if (news.length === 0) return
    try {
      await append(news)
      await forget(news)
    } catch {
      // Further attempts would keep the process running for as long as the database does not respond.
      if (isClosed) return
      batch = [...news, ...batch].slice(-mostKept)
      timer ??= setTimeout(() => void flush(), 4 * longestWait)
    }
  }
  const flush = () => {
    writing = writing.then(writeBatch)
    return writing
  }

  return {
    add(build, event) {
      if (isClosed) return
      batch.push([build, event])
      size += event.type === 'nix' ? event.line.length : 200
      if (size > largestBatch) void flush()
      else timer ??= setTimeout(() => void flush(), longestWait)
    },
    flush,
    async close() {
      isClosed = true
      await flush()
      clearTimeout(timer)
    },
  }
}
