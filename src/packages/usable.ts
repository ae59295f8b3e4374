import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError } from '../errors.ts'

/** Milliseconds that a check waits for the source. */
const patience = 500

/**
 * Creates a check whether a source that must be fetched can be used. Once it has been fetched it can: while the source is
 * unreachable, its last revision stays in use.
 * @param pin updates `latest` if that is due
 * @returns a function that throws the reason if the source cannot be used, SOURCE_UNREACHABLE while it is being fetched
 */
export function usability(pin: () => Promise<unknown>): () => Promise<void> {
  let pending: Promise<unknown> | undefined
  let good = false
  return async () => {
    pending ??= pin().finally(() => (pending = undefined))
    const result = pending.then(() => 'good' as const)
    result.catch(() => {}) // the next check tries again and reports the error
    const over = new AbortController()
    const late = sleep(patience, 'late' as const, { signal: over.signal }).catch(() => 'late' as const)
    const settled = await Promise.race([result, late]).finally(() => over.abort())
    if (settled === 'good') good = true
    if (!good) throw new NixeryError('SOURCE_UNREACHABLE', 'the package set is still being fetched')
  }
}
