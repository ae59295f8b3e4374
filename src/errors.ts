/** What can go wrong, as a closed set. `http/errors.ts` gives each its status and OCI code. */
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
  | 'ACCESS_DENIED'
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

/** A failure that a user can meet. Bugs stay plain `Error`s. */
export class NixeryError extends Error {
  readonly code: ErrorCode
  /** What the user can do about it. */
  readonly hint: string | undefined
  /** Facts for machines, such as the names of unknown packages; must be JSON. */
  readonly detail: unknown

  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; hint?: string; detail?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'NixeryError'
    this.code = code
    this.hint = options.hint
    this.detail = options.detail
  }
}

/** Whether a value is a failure of this code. */
export const hasCode = (error: unknown, ...codes: ErrorCode[]): error is NixeryError =>
  error instanceof NixeryError && codes.includes(error.code)

/** The code of a failed system call (`ENOENT`, `ENOSPC`, …), if the value is one. */
export const systemErrorCode = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
