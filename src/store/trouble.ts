import { NixeryError, systemErrorCode, isNixeryError } from '../errors.ts'
import { ofBlobs } from './store.ts'

/** Kinds of failures of a bucket or of the network: a closed set for the many errors of the SDKs. */
export type Trouble =
  | 'absent' // the object, or the bucket: see `bucketCheck`
  | 'no bucket'
  | 'forbidden'
  | 'no credentials'
  | 'full'
  | 'busy'
  | 'slow'
  | 'unreachable'
  | 'refused'
  | 'other'

const byName: Readonly<Record<string, Trouble>> = {
  NoSuchBucket: 'no bucket',
  CredentialsProviderError: 'no credentials',
  InvalidAccessKeyId: 'forbidden',
  QuotaExceeded: 'full', // Ceph, as 403
  XMinioStorageFull: 'full',
  SlowDown: 'busy',
  TimeoutError: 'slow',
  AbortError: 'slow', // only `within` aborts
  ETIMEDOUT: 'slow',
  UND_ERR_HEADERS_TIMEOUT: 'slow',
  UND_ERR_BODY_TIMEOUT: 'slow',
}

const byStatus: Readonly<Record<number, Trouble>> = {
  400: 'refused',
  401: 'forbidden',
  403: 'forbidden',
  404: 'absent',
  405: 'refused',
  408: 'busy',
  429: 'busy',
  501: 'refused',
  507: 'full',
}

const network =
  /^(?:ECONN|ENOTFOUND|EAI_|EPIPE|EHOST|ENET|EADDRNOTAVAIL|CERT_|ERR_TLS|ERR_SSL|DEPTH_|SELF_SIGNED|UNABLE_TO|HOSTNAME_|ERR_STREAM_PREMATURE|UND_ERR_)/

/** Classifies an error of an SDK, of the network or of this project. */
export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof Error)) return 'other'
  const code = codeOf(error)
  const named = byName[error.name] ?? byName[code ?? '']
  if (named) return named
  if (/could not load the default credentials/i.test(error.message)) return 'no credentials'
  if (/invalid_grant|invalid_client/.test(error.message)) return 'forbidden' // Google's tokens, as a 400
  if (code !== undefined && network.test(code)) return 'unreachable'
  const status = statusOf(error)
  // Google uses one code for a missing object and a missing bucket.
  if (status === 404 && /bucket does not exist/i.test(error.message)) return 'no bucket'
  if (status !== undefined) return byStatus[status] ?? (status >= 500 ? 'busy' : 'other')
  return 'other'
}

/** The code of an error, or of the error that fetch wrapped. */
const codeOf = (error: unknown): string | undefined =>
  systemErrorCode(error) ?? (error instanceof Error ? systemErrorCode(error.cause) : undefined)

/** Whether a retry may succeed. */
export const isPassing = (error: unknown): boolean => ['busy', 'unreachable'].includes(troubleOf(error))

/** The HTTP status in an error. AWS's SDK, Google's, and Google's authentication each store it elsewhere. */
export function statusOf(error: unknown): number | undefined {
  if (!(error instanceof Error)) return undefined
  const { $metadata, code, status } = error as Error & {
    readonly $metadata?: { readonly httpStatusCode?: number }
    readonly code?: unknown
    readonly status?: unknown
  }
  const places = [$metadata?.httpStatusCode, code, status]
  const text = places.find((value) => /^\d{3}$/.test(String(value)))
  return text === undefined ? undefined : Number(text)
}

const descriptions: Readonly<Record<Trouble, string>> = {
  absent: 'object not found',
  'no bucket': 'bucket not found',
  forbidden: 'access denied',
  'no credentials': 'no credentials',
  full: 'the service is full',
  busy: 'the service is overloaded',
  slow: 'timeout',
  unreachable: 'the service is unreachable',
  refused: 'the service refused the request',
  other: 'unexpected response',
}

/** Converts a failure during operation. The message does not name the bucket, because clients see it. */
export function runningError(error: unknown, doing: string, texts = ofBlobs): NixeryError {
  if (isNixeryError(error)) return error
  const trouble = troubleOf(error)
  if (trouble === 'full') {
    return new NixeryError('STORE_FULL', `${texts.full} (${doing})`, {
      cause: withoutSecrets(error),
      hint: 'the operator must free or add space',
    })
  }
  return new NixeryError('STORE_UNAVAILABLE', `${texts.failed} (${doing}: ${descriptions[trouble]})`, {
    cause: withoutSecrets(error),
    hint: 'try again; if it persists, the server log has the cause',
  })
}

/** How the operator knows a bucket, for messages when it cannot be opened. */
export type Place = {
  readonly bucket: string
  readonly endpoint: string
  /** The variable with the bucket's name. */
  readonly bucketVariable: string
  /** Where the credentials come from. */
  readonly credentials: string
  /** The permissions that the credentials need. */
  readonly permissions: string
}

/** Converts a failure to open a bucket: CONFIG_INVALID if a setting must be changed, otherwise STORE_UNAVAILABLE. */
export function openingError(error: unknown, place: Place, doing: string): NixeryError {
  if (isNixeryError(error)) return error
  const { bucket, endpoint } = place
  const trouble = troubleOf(error)
  const cause = withoutSecrets(error)
  const invalid = (message: string, hint: string) =>
    new NixeryError('CONFIG_INVALID', message, { cause, hint })
  switch (trouble) {
    case 'absent':
    case 'no bucket':
      return invalid(
        `there is no bucket "${bucket}" at ${endpoint}`,
        `create it, or set ${place.bucketVariable} to another one`,
      )
    case 'forbidden':
      return invalid(
        `access to the bucket "${bucket}" at ${endpoint} was denied (${doing})`,
        `check the credentials (${place.credentials}); they need ${place.permissions}`,
      )
    case 'refused':
      return invalid(
        `the service at ${endpoint} refuses the bucket "${bucket}" (${doing})`,
        `check the name in ${place.bucketVariable}, the region and the URL`,
      )
    case 'no credentials':
      return invalid(`there are no credentials for the bucket "${bucket}"`, `set ${place.credentials}`)
    case 'full':
    case 'busy':
    case 'slow':
    case 'unreachable':
    case 'other': {
      const reason = trouble === 'other' ? cause.message : descriptions[trouble]
      const code = codeOf(error)
      return new NixeryError(
        'STORE_UNAVAILABLE',
        `cannot open the bucket "${bucket}" at ${endpoint} (${doing}): ${reason}${code === undefined ? '' : `, ${code}`}`,
        { cause, hint: 'check the URL, the network and the service' },
      )
    }
  }
}

/** Copies what the log needs from an error of an SDK, which contains whole requests with bearer tokens. */
function withoutSecrets(error: unknown): Error {
  if (!(error instanceof Error)) return new Error(String(error))
  const plain = new Error(error.message || error.name)
  plain.name = error.name
  if (error.stack !== undefined) plain.stack = error.stack
  return Object.assign(plain, {
    ...(codeOf(error) !== undefined && { code: codeOf(error) }),
    ...(statusOf(error) !== undefined && { status: statusOf(error) }),
  })
}
