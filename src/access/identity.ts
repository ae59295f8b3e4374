/** Who sends a request. Made once where its credentials are verified, and never changed. */
export type Identity = {
  /** As shown in logs and matched by rules; empty for anonymous clients. */
  readonly name: string
  readonly groups: readonly string[]
  /** The claims of a token, such as the repository of a CI job. */
  readonly claims: Readonly<Record<string, unknown>>
  /** How the client proved it. */
  readonly how: 'anonymous' | 'password' | 'key' | 'oidc' | 'certificate'
  /** The name of the `[[issuer]]` of the policy that vouches for a token's holder. */
  readonly issuer?: string
  /**
   * The only repositories that the client's token is for, as `formatImageName` spells them. Without it, the token, or
   * whatever else the client sent, is for everything that its holder may do.
   */
  readonly repositories?: ReadonlySet<string>
}

/** Clients without credentials: one object for all of them, so that they cost no allocation. */
export const anonymous: Identity = Object.freeze({
  name: '',
  groups: Object.freeze([]),
  claims: Object.freeze({}),
  how: 'anonymous',
})
