import { hasCode, type ErrorCode, isNixeryError } from '../errors.ts'
import type { PublicTexts } from '../text/public.ts'
import { textReply, type Reply } from './reply.ts'

/** The codes of the distribution spec (spec.md, "Error Codes") that this registry uses. */
type OciCode =
  | 'BLOB_UNKNOWN'
  | 'DENIED'
  | 'DIGEST_INVALID'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'SIZE_INVALID'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  | 'UNAUTHORIZED'
  /** Not in the spec, which has no codes for server failures. Used with 5xx only. */
  | 'UNKNOWN'

/**
 * Status and OCI code of each failure. Failures that the user can fix or must read are a 4xx: Docker and
 * containers/image show their messages, but hide those of a 5xx, which they treat as temporary. The spec has few codes,
 * so some are the nearest match. podman and buildah retry everything but MANIFEST_UNKNOWN: with another code, a failing
 * package would be built four times (test/clients).
 */
const table: Readonly<Record<ErrorCode, readonly [status: number, oci: OciCode]>> = {
  NAME_INVALID: [400, 'NAME_INVALID'],
  TAG_INVALID: [400, 'MANIFEST_INVALID'],
  DIGEST_INVALID: [400, 'DIGEST_INVALID'],
  QUERY_INVALID: [400, 'UNSUPPORTED'],
  REQUEST_INVALID: [400, 'UNSUPPORTED'],
  RANGE_INVALID: [416, 'SIZE_INVALID'],
  PRECONDITION_FAILED: [412, 'DIGEST_INVALID'],
  PACKAGE_UNKNOWN: [404, 'MANIFEST_UNKNOWN'],
  PACKAGE_INVALID: [422, 'MANIFEST_UNKNOWN'],
  PACKAGE_DENIED: [403, 'DENIED'],
  UNAUTHENTICATED: [401, 'UNAUTHORIZED'],
  RECIPE_UNKNOWN: [404, 'MANIFEST_UNKNOWN'],
  RECIPE_INVALID: [422, 'MANIFEST_UNKNOWN'],
  ACCESS_DENIED: [403, 'DENIED'],
  RATE_LIMITED: [429, 'TOOMANYREQUESTS'],
  // No client retries it: podman would retry a 429 twenty times.
  QUOTA_EXCEEDED: [403, 'DENIED'],
  NOT_READY: [403, 'DENIED'],
  MANIFEST_UNKNOWN: [404, 'MANIFEST_UNKNOWN'],
  BLOB_UNKNOWN: [404, 'BLOB_UNKNOWN'],
  ROUTE_UNKNOWN: [404, 'UNSUPPORTED'],
  UNSUPPORTED: [405, 'UNSUPPORTED'],
  SOURCE_INVALID: [422, 'MANIFEST_UNKNOWN'],
  SOURCE_UNREACHABLE: [503, 'UNKNOWN'],
  EVALUATION_TIMEOUT: [422, 'MANIFEST_UNKNOWN'],
  BUILD_FAILED: [422, 'MANIFEST_UNKNOWN'],
  BUILD_TIMEOUT: [422, 'MANIFEST_UNKNOWN'],
  NIX_UNAVAILABLE: [503, 'UNKNOWN'],
  STORE_FULL: [507, 'UNKNOWN'],
  STORE_UNAVAILABLE: [503, 'UNKNOWN'],
  STORE_PATH_INVALID: [500, 'UNKNOWN'],
  CONFIG_INVALID: [500, 'UNKNOWN'],
  SETUP_FAILED: [500, 'UNKNOWN'],
  CANCELLED: [503, 'UNKNOWN'],
  // Its status depends on the client; see waiting.ts.
  STILL_BUILDING: [429, 'TOOMANYREQUESTS'],
  OVERLOADED: [429, 'TOOMANYREQUESTS'],
  REGISTRY_REFUSED: [502, 'UNKNOWN'],
  REGISTRY_UNAVAILABLE: [502, 'UNKNOWN'],
}

/**
 * The reply to a failure, in the spec's form. Bugs reveal nothing about themselves.
 * @param texts decides which text from outside may be shown
 * @param status instead of the usual one
 * @param page the address of a page with details
 */
export function errorReply(error: unknown, texts: PublicTexts, options: ErrorReplyOptions = {}): Reply {
  const { status, headers, page } = options
  // Under a flood of requests, many replies share one failure object.
  const isPlain = isNixeryError(error) && status === undefined && headers === undefined && page === undefined
  if (!isPlain) return replyTo(error, texts, options)
  const ofTexts = replies.get(texts) ?? new WeakMap<Error, Reply>()
  replies.set(texts, ofTexts)
  const known = ofTexts.get(error) ?? replyTo(error, texts, options)
  ofTexts.set(error, known)
  return known
}

type ErrorReplyOptions = {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly page?: string | undefined
}

const replies = new WeakMap<PublicTexts, WeakMap<Error, Reply>>()

function replyTo(error: unknown, texts: PublicTexts, { status, headers, page }: ErrorReplyOptions): Reply {
  const [usual, oci]: readonly [number, OciCode] = isNixeryError(error) ? table[error.code] : [500, 'UNKNOWN']
  const { message, hint, detail } = texts.failure(error)
  const text = `${message}${hint === undefined ? '' : ` (${hint})`}${page === undefined ? '' : `\nlog: ${page}`}`
  const body = JSON.stringify({ errors: [{ code: oci, message: text, detail }] })
  return {
    ...textReply(status ?? usual, 'application/json', body, { ...headersOf(error), ...headers }),
    error,
  }
}

function headersOf(error: unknown): Record<string, string> {
  if (hasCode(error, 'UNSUPPORTED')) return { Allow: 'GET, HEAD' }
  if (hasCode(error, 'RANGE_INVALID')) {
    return { 'Content-Range': `bytes */${error.detail?.size ?? '*'}`, 'Accept-Ranges': 'bytes' }
  }
  if (
    hasCode(error, 'STORE_UNAVAILABLE', 'STORE_FULL', 'CANCELLED', 'SOURCE_UNREACHABLE', 'NIX_UNAVAILABLE')
  ) {
    return { 'Retry-After': '10' }
  }
  if (hasCode(error, 'RATE_LIMITED')) return { 'Retry-After': String(error.detail?.retryAfter ?? 5) }
  return hasCode(error, 'OVERLOADED') ? { 'Retry-After': '5' } : {}
}
