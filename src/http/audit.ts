import type { HttpRequest } from './request.ts'

/** What clients did that an operator may have to answer for. The request says who it was; its credentials are not told. */
export type AuditEvent =
  /** Credentials were verified that were not remembered: once for each login, not for each request. */
  | { readonly event: 'login'; readonly request: HttpRequest }
  /** A request was refused: credentials that prove nothing, an action that is not allowed, or a quota that is used up. */
  | { readonly event: 'refused'; readonly request: HttpRequest; readonly error: unknown }
  /** A request caused work: evaluating, fetching, building or packing. */
  | { readonly event: 'build'; readonly request: HttpRequest; readonly image: string }
  /** A file that says who may do what was opened, has changed, or was refused; nobody's request caused that. */
  | {
      readonly event: 'policy'
      readonly setting: string
      readonly what: 'opened' | 'changed' | 'refused'
      /** Of the contents in use. */
      readonly sha256: string
      readonly reason?: string
    }

/** Must not throw. */
export type AuditListener = (event: AuditEvent) => void
