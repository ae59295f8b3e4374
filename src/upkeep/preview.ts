import { isNixeryError } from '../errors.ts'
import type { Collected } from './collected.ts'

/** The last preview of a garbage collection. Times are in milliseconds since 1970. */
export type Preview = {
  /** Whether a preview is running. */
  readonly running: boolean
  readonly last: { readonly collected: Collected; readonly at: number } | undefined
  /** The code of the last failure, if it came after `last`. */
  readonly failure: string | undefined
}

// The pause between previews: a minimum in milliseconds, and a multiple of the duration of the last one.
const [shortestPause, pauseFactor] = [60_000, 20]

/**
 * Previews garbage collections in the background, for all callers: one at a time, and only after a pause much longer than
 * the last preview took, so that requests for previews take at most a small part of a server's time.
 * @param collect runs a dry run
 */
export function createPreview(
  collect: () => Promise<Collected>,
  now: () => number = Date.now,
): () => Preview {
  let running: Promise<void> | undefined
  let last: Preview['last']
  let failure: string | undefined
  let nextStart = 0

  const run = async () => {
    const started = now()
    try {
      last = { collected: await collect(), at: now() }
      failure = undefined
    } catch (error) {
      failure = isNixeryError(error) ? error.code : 'UNKNOWN'
    }
    nextStart = now() + Math.max(shortestPause, pauseFactor * (now() - started))
    running = undefined
  }
  return () => {
    if (!running && now() >= nextStart) running = run()
    return { running: running !== undefined, last, failure }
  }
}
