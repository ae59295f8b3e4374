/** What was used of a limit in its running window. */
export type LedgerUse = {
  readonly used: number
  /** Seconds until the window ends. */
  readonly left: number
}

/** The use of limits over all servers, such as rows in a database. All methods fail when it does. */
export type Ledger = {
  /** Uses an amount if the limit allows it. @param seconds the length of a window, which begins with the first use */
  take(
    key: string,
    amount: number,
    limit: number,
    seconds: number,
  ): Promise<LedgerUse & { readonly taken: boolean }>
  /** Records uses without a limit. @returns what was used, by key */
  add(
    uses: readonly { readonly key: string; readonly amount: number; readonly seconds: number }[],
  ): Promise<ReadonlyMap<string, LedgerUse>>
  giveBack(key: string, amount: number): Promise<void>
}

/** A ledger that is not used for a while after it has failed. */
export type GuardedLedger = {
  /** Does something with the ledger. @returns undefined if it fails, or has just failed */
  try<T>(work: (ledger: Ledger) => Promise<T>): Promise<T | undefined>
}

// Milliseconds without an attempt after a failure, so that requests do not wait for a database that hangs.
const pause = 5_000

/** @param note gets a line when counting becomes local, and when it ends */
export function guarded(ledger: Ledger, note: (line: string) => void): GuardedLedger {
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
        resumeAt = performance.now() + pause
        if (!isFailing) note('quotas are counted by this server alone until the catalog can be used')
        isFailing = true
        return undefined
      }
    },
  }
}
