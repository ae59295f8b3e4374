import { isNixeryError } from '../errors.ts'
import type { Collected } from './collected.ts'

/** What a collection would remove, as far as that is known. Times are in milliseconds since 1970. */
export type Look = {
  /** Whether it is being found out now. */
  readonly running: boolean
  readonly last: { readonly collected: Collected; readonly at: number } | undefined
  /** The code of the last failure, if it came after that. */
  readonly failure: string | undefined
}

// Milliseconds for which it is not found out again, and how many times as long as that took.
const [shortest, share] = [60_000, 20]

/**
 * Finds out what a collection would remove, in the background and for all who ask: never twice at the same time, and not
 * before a pause that is much longer than that takes, so that asking costs a server a small part of its time at most.
 * @param collect a dry run
 */
export function createLook(collect: () => Promise<Collected>, now: () => number = Date.now): () => Look {
  let running: Promise<void> | undefined
  let last: Look['last']
  let failure: string | undefined
  let again = 0

  const run = async () => {
    const started = now()
    try {
      last = { collected: await collect(), at: now() }
      failure = undefined
    } catch (error) {
      failure = isNixeryError(error) ? error.code : 'UNKNOWN'
    }
    again = now() + Math.max(shortest, share * (now() - started))
    running = undefined
  }
  return () => {
    if (!running && now() >= again) running = run()
    return { running: running !== undefined, last, failure }
  }
}
