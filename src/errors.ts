/** The codes of all failures, as a closed set. `http/errors.ts` gives each its status and OCI code. */
export type ErrorCode =
  | 'NAME_INVALID'
  | 'TAG_INVALID'
  | 'DIGEST_INVALID'
  | 'RANGE_INVALID'
  | 'QUERY_INVALID'
  | 'REQUEST_INVALID'
  | 'PRECONDITION_FAILED'
  | 'PACKAGE_UNKNOWN'
  | 'PACKAGE_INVALID'
  | 'PACKAGE_DENIED'
  | 'UNAUTHENTICATED'
  | 'RECIPE_UNKNOWN'
  | 'RECIPE_INVALID'
  | 'ACCESS_DENIED'
  /** Too much load: the same request may succeed in a moment. */
  | 'RATE_LIMITED'
  /** A limit is exceeded for longer than clients retry. */
  | 'QUOTA_EXCEEDED'
  | 'NOT_READY'
  | 'MANIFEST_UNKNOWN'
  | 'BLOB_UNKNOWN'
  | 'ROUTE_UNKNOWN'
  | 'UNSUPPORTED'
  | 'SOURCE_INVALID'
  | 'SOURCE_UNREACHABLE'
  | 'EVALUATION_TIMEOUT'
  | 'BUILD_FAILED'
  | 'BUILD_TIMEOUT'
  | 'NIX_UNAVAILABLE'
  | 'STORE_FULL'
  | 'STORE_UNAVAILABLE'
  | 'STORE_PATH_INVALID'
  | 'CONFIG_INVALID'
  | 'SETUP_FAILED'
  | 'CANCELLED'
  | 'STILL_BUILDING'
  | 'OVERLOADED'
  | 'REGISTRY_REFUSED'
  | 'REGISTRY_UNAVAILABLE'

/**
 * The details of errors, by code, as JSON for programs; errors with other codes have none. `text/public.ts` decides
 * which are sent to clients of the registry.
 */
export type ErrorDetails = {
  /** Bytes. */
  RANGE_INVALID: { readonly size: number }
  PRECONDITION_FAILED: { readonly etag: string }
  PACKAGE_UNKNOWN: {
    readonly missing: readonly string[]
    readonly suggestions: readonly { readonly name: string; readonly nearest: readonly string[] }[]
  }
  PACKAGE_INVALID: { readonly invalid: readonly string[] }
  PACKAGE_DENIED: { readonly denied: readonly string[] }
  /** RFC 6750 §3.1; undefined for a request without credentials. */
  UNAUTHENTICATED: 'invalid_token' | 'insufficient_scope' | undefined
  /** Seconds. */
  RATE_LIMITED: { readonly retryAfter: number }
  /** The build's id, if it has started. */
  STILL_BUILDING: { readonly build: string | undefined }
  /** Digests of blobs that were found damaged. */
  STORE_UNAVAILABLE: readonly string[]
  /** The other registry's status. */
  REGISTRY_REFUSED: { readonly status: number }
  REGISTRY_UNAVAILABLE: { readonly status: number } | { readonly reason: string }
}

/** The detail of an error with one of these codes. */
export type DetailOf<Code extends ErrorCode> = Code extends keyof ErrorDetails
  ? ErrorDetails[Code]
  : undefined

export type ErrorOptions<Code extends ErrorCode> = {
  readonly cause?: unknown
  readonly hint?: string | undefined
  readonly detail?: DetailOf<Code> | undefined
}

/**
 * A failure that a user can cause or see. Bugs are plain `Error`s; failures that only the program handles are
 * subclasses.
 */
export class NixeryError<Code extends ErrorCode = ErrorCode> extends Error {
  readonly code: Code
  /** What the user can do about it. */
  readonly hint: string | undefined
  readonly detail: DetailOf<Code> | undefined

  constructor(code: Code, message: string, options: ErrorOptions<Code> = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'NixeryError'
    this.code = code
    this.hint = options.hint
    this.detail = options.detail
  }
}

/** A source is reachable, but does not have what was requested. */
export class SourceLacks extends NixeryError<'SOURCE_UNREACHABLE'> {}

/** `instanceof`, without losing the type of the detail. */
export const isNixeryError = (error: unknown): error is NixeryError => error instanceof NixeryError

/** Whether a value is a failure of one of these codes. */
export const hasCode = <Code extends ErrorCode>(
  error: unknown,
  ...codes: readonly Code[]
): error is NixeryError<Code> => error instanceof NixeryError && codes.some((code) => code === error.code)

/** The code of a failed system call (`ENOENT`, `ENOSPC`, …), if the value is one. */
export const systemErrorCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
