import { type ErrorCode, isNixeryError } from '../errors.ts'

// Client errors, which need no action by the operator.
const ordinary: ReadonlySet<ErrorCode> = new Set([
  'NAME_INVALID',
  'TAG_INVALID',
  'DIGEST_INVALID',
  'RANGE_INVALID',
  'QUERY_INVALID',
  'REQUEST_INVALID',
  'PRECONDITION_FAILED',
  'PACKAGE_UNKNOWN',
  'PACKAGE_DENIED',
  'RECIPE_UNKNOWN',
  'UNAUTHENTICATED',
  'ACCESS_DENIED',
  'RATE_LIMITED',
  'QUOTA_EXCEEDED',
  'NOT_READY',
  'MANIFEST_UNKNOWN',
  'BLOB_UNKNOWN',
  'ROUTE_UNKNOWN',
  'UNSUPPORTED',
  'CANCELLED',
  'STILL_BUILDING',
  'OVERLOADED',
])

/** Whether a failure needs no attention of the operator: the client's mistake, or an expected refusal. */
export const isOrdinary = (error: unknown): boolean => isNixeryError(error) && ordinary.has(error.code)

// The maximum length of a cause's message in UTF-16 units; it may be the entire output of a program.
const longestCause = 2_000

/**
 * The log fields of an error. Only bugs have a stack: for expected failures, the code and message suffice, and the
 * cause is added if the operator must act.
 */
export function errorFacts(error: unknown): Record<string, unknown> {
  if (isNixeryError(error)) {
    const { code, message, hint, detail, cause } = error
    return {
      code,
      message,
      hint,
      detail,
      ...(cause !== undefined && !isOrdinary(error) && { cause: messageOf(cause).slice(0, longestCause) }),
    }
  }
  if (!(error instanceof Error)) return { message: String(error) }
  const { name, message, stack, cause } = error
  return { type: name, message, stack, ...(cause !== undefined && { cause: errorFacts(cause) }) }
}

const messageOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
