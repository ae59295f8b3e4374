/** What was used of a limit in its running window. */
export type WindowUse = {
  readonly used: number
  /** Seconds until the window ends. */
  readonly left: number
}

/**
 * How much of each limit all processes have used. A window starts with the first use, and is measured by the clock of the
 * database. The methods fail with STORE_UNAVAILABLE when the database fails.
 */
export type QuotaUses = {
  /**
   * Uses an amount if the limit allows it, as one statement, so that processes cannot exceed it together.
   * @param seconds the length of a window
   */
  take(
    key: string,
    amount: number,
    limit: number,
    seconds: number,
  ): Promise<WindowUse & { readonly taken: boolean }>
  /** Records uses without a limit. @returns what was used, by key */
  add(
    uses: readonly { readonly key: string; readonly amount: number; readonly seconds: number }[],
  ): Promise<Map<string, WindowUse>>
  /** Reverts a use, unless its window has ended. */
  giveBack(key: string, amount: number): Promise<void>
}
