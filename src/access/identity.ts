/** Who sends a request. Made once where the request is read, and never changed. */
export type Identity = {
  /** As shown in logs and matched by rules; empty for anonymous clients. */
  readonly name: string
  readonly groups: readonly string[]
  /** What a token says of its holder, such as the repository of a CI job. */
  readonly claims: Readonly<Record<string, unknown>>
  /** How the client proved it. */
  readonly how: 'anonymous'
}

/** Clients without credentials: one object for all of them, so that they cost no allocation. */
export const anonymous: Identity = Object.freeze({
  name: '',
  groups: Object.freeze([]),
  claims: Object.freeze({}),
  how: 'anonymous',
})
