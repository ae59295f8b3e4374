import type { QuotaUses } from '../catalog/quota-uses.ts'

/** A ledger that is not used for a while after it has failed. */
export type GuardedLedger = {
  /** Does something with the ledger. @returns undefined if it fails, or has just failed */
  try<T>(work: (ledger: QuotaUses) => Promise<T>): Promise<T | undefined>
}

// Milliseconds without an attempt after a failure, so that requests do not wait for a database that hangs.
const pause = 5_000

/** @param note gets a line when counting becomes local, and when it ends */
export function guarded(ledger: QuotaUses, note: (line: string) => void): GuardedLedger {
  let resumeAt = 0
  let isFailing = false
  return {
    async try(work) {
      if (performance.now() < resumeAt) return undefined
      try {
        const result = await work(ledger)
        if (isFailing) note('quotas are counted together with the other servers again')
        isFailing = false
        return result
      } catch {
        // The catalog has logged why.
        resumeAt = performance.now() + pause
        if (!isFailing) note('quotas are counted by this server alone until the catalog can be used')
        isFailing = true
        return undefined
      }
    },
  }
}
