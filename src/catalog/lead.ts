/** What one process at a time does: collecting garbage, and what is done again and again, such as warming. */
export type LeadName = 'upkeep' | 'duties'

/** The lead in something that one process at a time does. A process that ends has it no more, however it ends. */
export type Lead = {
  /** Aborted when another process may have taken the lead, because this one could not be seen to be there. */
  readonly lost: AbortSignal
  release(): Promise<void>
}
