import { setTimeout as sleep } from 'node:timers/promises'
import { NixeryError } from '../errors.ts'

/** Milliseconds that a check waits for an answer of the source. */
const patience = 500

/**
 * Tells whether a source that must be fetched can be used. What was had once can be: while the source cannot be
 * reached, its last revision stays in use.
 * @param pin brings `latest` up to date if that is due
 * @returns a check that throws why the source cannot be used, SOURCE_UNREACHABLE as long as it is being fetched
 */
export function usability(pin: () => Promise<unknown>): () => Promise<void> {
  let pending: Promise<unknown> | undefined
  let good = false
  return async () => {
    pending ??= pin().finally(() => (pending = undefined))
    const result = pending.then(() => 'good' as const)
    result.catch(() => {}) // whoever asks next starts anew and hears of it
    const over = new AbortController()
    const late = sleep(patience, 'late' as const, { signal: over.signal }).catch(() => 'late' as const)
    const settled = await Promise.race([result, late]).finally(() => over.abort())
    if (settled === 'good') good = true
    if (!good) throw new NixeryError('SOURCE_UNREACHABLE', 'the package set is still being fetched')
  }
}
