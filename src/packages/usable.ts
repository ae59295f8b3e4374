import { setTimeout as sleep } from 'node:timers/promises'
import { hasCode, NixeryError } from '../errors.ts'
import type { PackageSource } from './source.ts'

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

/** The time in milliseconds that startup waits for the package sets. */
const startPatience = 200

/**
 * Whether images can be built from any of these sources, as far as is known after a short time. A source that is being
 * fetched or is unreachable counts as usable.
 */
export async function anyUsable(sources: Iterable<Pick<PackageSource, 'usable'>>): Promise<boolean> {
  const late = sleep(startPatience, true, { ref: false })
  const checks = Array.from(sources, (source) => {
    const usable = source.usable().then(
      () => true,
      (error: unknown) => hasCode(error, 'SOURCE_UNREACHABLE'),
    )
    return Promise.race([usable, late])
  })
  return (await Promise.all(checks)).includes(true)
}
