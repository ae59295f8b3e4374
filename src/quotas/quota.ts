/** The limits of one client; undefined ones are unlimited. */
export type Quota = {
  /** Requests per second. */
  readonly requests?: number | undefined
  /** Builds per hour. */
  readonly builds?: number | undefined
  readonly buildsAtOnce?: number | undefined
  /** Bytes of blobs per day. */
  readonly bytes?: number | undefined
}

/**
 * The holder that usage is counted for: an identity, regardless of its address, or the address of an anonymous client.
 */
export type Holder = {
  /** Unique for each holder, on all servers. */
  readonly id: string
  /** For counters in memory: many addresses share one. */
  readonly key: string
  /** For messages: a user name or an address. */
  readonly shown: string
}

/** What a holder has used of its quota: in the running hour and day, and right now. */
export type QuotaUse = {
  /** A user name or an address. */
  readonly shown: string
  readonly quota: Quota
  readonly builds: number
  readonly buildsAtOnce: number
  readonly bytes: number
}
