import type { HttpRequest } from './request.ts'

/** Actions of clients for the audit log. The request has the identity; credentials are not logged. */
export type AuditEvent =
  /** New credentials were verified: reported once for each login, not for each request. */
  | { readonly event: 'login'; readonly request: HttpRequest }
  /** A request was refused: invalid credentials, a forbidden action, or an exhausted quota. */
  | { readonly event: 'refused'; readonly request: HttpRequest; readonly error: unknown }
  /** A request caused work: evaluating, fetching, building or packing. */
  | { readonly event: 'build'; readonly request: HttpRequest; readonly image: string }
  /** An API key was made or revoked by a request. */
  | {
      readonly event: 'key'
      readonly request: HttpRequest
      readonly what: 'created' | 'revoked'
      /** The id of the key; its user and groups follow. */
      readonly key: string
      readonly user: string
      readonly groups: readonly string[]
      readonly expires: string | undefined
    }
  /** A file with users or rules was opened, changed or rejected; this is not caused by a request. */
  | {
      readonly event: 'policy'
      readonly setting: string
      readonly what: 'opened' | 'changed' | 'refused'
      /** Describes the contents in use. */
      readonly sha256: string
      readonly reason?: string
    }

/** Must not throw. */
export type AuditListener = (event: AuditEvent) => void
