/** How much one client may use; what is not set is not limited. */
export type Quota = {
  /** Requests a second. */
  readonly requests?: number | undefined
  /** Builds an hour. */
  readonly builds?: number | undefined
  readonly buildsAtOnce?: number | undefined
  /** Bytes of blobs a day. */
  readonly bytes?: number | undefined
}

/** Whom usage is counted for: an identity wherever it comes from, and an anonymous client by its address. */
export type Holder = {
  /** Differs from that of every other holder. */
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
