/** Tasks that only one process at a time performs: garbage collection, and periodic tasks such as warming. */
export type LeadName = 'upkeep' | 'duties'

/** The lead for a task that only one process at a time performs. It ends with the process, however that ends. */
export type Lead = {
  /** Aborted when another process may have taken the lead, because this one could not renew it. */
  readonly lost: AbortSignal
  release(): Promise<void>
}
