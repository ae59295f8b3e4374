import { NixeryError, type ErrorCode } from '../errors.ts'

/** The codes of the distribution spec (spec.md, "Error Codes") that this registry answers with. */
type OciCode =
  | 'BLOB_UNKNOWN'
  | 'DENIED'
  | 'DIGEST_INVALID'
  | 'MANIFEST_INVALID'
  | 'MANIFEST_UNKNOWN'
  | 'NAME_INVALID'
  | 'NAME_UNKNOWN'
  | 'UNSUPPORTED'
  | 'TOOMANYREQUESTS'
  | 'UNKNOWN'

/**
 * How each failure is told. What the one who pulls can mend, or must read, is a 4xx: Docker and containers/image
 * show the message of those and hide that of a 5xx, which they take for the server's own and passing.
 */
const table: Readonly<Record<ErrorCode, readonly [status: number, oci: OciCode]>> = {
  NAME_INVALID: [400, 'NAME_INVALID'],
  TAG_INVALID: [400, 'MANIFEST_INVALID'],
  DIGEST_INVALID: [400, 'DIGEST_INVALID'],
  RANGE_INVALID: [416, 'UNKNOWN'],
  PACKAGE_UNKNOWN: [404, 'MANIFEST_UNKNOWN'],
  PACKAGE_INVALID: [422, 'UNKNOWN'],
  PACKAGE_DENIED: [403, 'DENIED'],
  MANIFEST_UNKNOWN: [404, 'MANIFEST_UNKNOWN'],
  BLOB_UNKNOWN: [404, 'BLOB_UNKNOWN'],
  ROUTE_UNKNOWN: [404, 'UNSUPPORTED'],
  UNSUPPORTED: [405, 'UNSUPPORTED'],
  SOURCE_INVALID: [422, 'UNKNOWN'],
  SOURCE_UNREACHABLE: [503, 'UNKNOWN'],
  EVALUATION_TIMEOUT: [422, 'UNKNOWN'],
  BUILD_FAILED: [422, 'UNKNOWN'],
  BUILD_TIMEOUT: [422, 'UNKNOWN'],
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

/** The status and the JSON body of a failure, in the spec's form. A bug tells nothing of itself. */
export function errorReply(error: unknown): { status: number; body: string } {
  if (!(error instanceof NixeryError))
    return { status: 500, body: bodyOf('UNKNOWN', 'internal error', undefined) }
  const [status, oci] = table[error.code]
  const message = error.hint === undefined ? error.message : `${error.message} (${error.hint})`
  return { status, body: bodyOf(oci, message, error.detail) }
}

const bodyOf = (code: OciCode, message: string, detail: unknown): string =>
  JSON.stringify({ errors: [{ code, message, detail }] })
