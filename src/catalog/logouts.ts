/**
 * Sessions that have ended before they expire, for all servers. Both methods fail with STORE_UNAVAILABLE when the database
 * fails, and nothing is cached in memory, so that a session that another server has ended is refused at once.
 */
export type Logouts = {
  /** @param expiresAt when the session would have expired, in seconds since 1970; it is forgotten then */
  add(session: string, expiresAt: number): Promise<void>
  has(session: string): Promise<boolean>
}
