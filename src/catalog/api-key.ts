/** A key that a client sends as its password. Times are seconds since 1970. */
export type ApiKey = {
  /** A part of the key; not secret. */
  readonly id: string
  /** The name of the identity that the key proves. */
  readonly name: string
  /** The hash of the secret part. */
  readonly hash: string
  readonly groups: readonly string[]
  readonly createdAt: number
  /** Undefined for a key that does not expire. */
  readonly expiresAt?: number
  readonly revokedAt?: number
}

/**
 * API keys cannot be derived again: all methods fail with STORE_UNAVAILABLE when the database fails. Nothing is cached in
 * memory, so that a key revoked by another process is refused at once.
 */
export type ApiKeys = {
  add(key: Omit<ApiKey, 'revokedAt'>): Promise<void>
  find(id: string): Promise<ApiKey | undefined>
  /** All keys, oldest first. */
  list(): Promise<ApiKey[]>
  /** Has no effect on keys that are revoked already. */
  revoke(id: string, at: number): Promise<void>
}
