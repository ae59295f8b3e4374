/** The sender of a request. Created when the credentials are verified, and never changed. */
export type Identity = {
  /** As shown in logs and matched by rules; empty for anonymous clients. */
  readonly name: string
  readonly groups: readonly string[]
  /** The claims of a token, such as the repository of a CI job. */
  readonly claims: Readonly<Record<string, unknown>>
  /** How the client authenticated. */
  readonly how: 'anonymous' | 'password' | 'key' | 'oidc' | 'certificate'
  /** The name of the policy's `[[issuer]]` that issued the token. */
  readonly issuer?: string
  /**
   * The repositories that the client's token is limited to, as written by `formatImageName`. If undefined, the
   * credentials are valid for everything that their holder may do.
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
