import { NixeryError, systemErrorCode, isNixeryError } from '../errors.ts'

/** What is wrong with a bucket, or on the way to it: a closed set over the SDKs' many kinds of error. */
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

/** Which trouble an error of an SDK, of the network or of ours stands for. */
export function troubleOf(error: unknown): Trouble {
  if (!(error instanceof Error)) return 'other'
  const code = codeOf(error)
  const named = byName[error.name] ?? byName[code ?? '']
  if (named) return named
  if (/could not load the default credentials/i.test(error.message)) return 'no credentials'
  if (/invalid_grant|invalid_client/.test(error.message)) return 'forbidden' // Google's tokens, as a 400
  if (code !== undefined && network.test(code)) return 'unreachable'
  const status = statusOf(error)
  // Google says both absences with one code.
  if (status === 404 && /bucket does not exist/i.test(error.message)) return 'no bucket'
  if (status !== undefined) return byStatus[status] ?? (status >= 500 ? 'busy' : 'other')
  return 'other'
}

/** The code of an error, or of what fetch wraps in one of its own. */
const codeOf = (error: unknown): string | undefined =>
  systemErrorCode(error) ?? (error instanceof Error ? systemErrorCode(error.cause) : undefined)

/** Whether the same request may well succeed a moment later. */
export const isPassing = (error: unknown): boolean => ['busy', 'unreachable'].includes(troubleOf(error))

/** The HTTP status in an error: AWS's SDK, Google's, and Google's authentication each have their own place for it. */
function statusOf(error: Error): number | undefined {
  const { $metadata, code, status } = error as Error & {
    readonly $metadata?: { readonly httpStatusCode?: number }
    readonly code?: unknown
    readonly status?: unknown
  }
  const places = [$metadata?.httpStatusCode, code, status]
  const found = places.find((value) => /^\d{3}$/.test(String(value)))
  return found === undefined ? undefined : Number(found)
}

const inWords: Readonly<Record<Trouble, string>> = {
  absent: 'it has no such object',
  'no bucket': 'its bucket is gone',
  forbidden: 'it refuses access',
  'no credentials': 'there are no credentials for it',
  full: 'it is full',
  busy: 'it is overloaded',
  slow: 'it does not answer in time',
  unreachable: 'it cannot be reached',
  refused: 'it refuses the request',
  other: 'unexpected answer',
}

/** Says a failure of a bucket while it is in use. The bucket's name is for the log only: pullers read the message. */
export function runningError(error: unknown, doing: string): NixeryError {
  if (isNixeryError(error)) return error
  const trouble = troubleOf(error)
  if (trouble === 'full') {
    return new NixeryError('STORE_FULL', `the registry's storage is full (${doing})`, {
      cause: withoutSecrets(error),
      hint: 'the operator must free or add space',
    })
  }
  return new NixeryError(
    'STORE_UNAVAILABLE',
    `the registry's storage failed (${doing}: ${inWords[trouble]})`,
    {
      cause: withoutSecrets(error),
      hint: 'try again; if it stays, the operator finds the cause in the log',
    },
  )
}

/** A bucket as the operator knows it, for what is said when it cannot be opened. */
export type Place = {
  readonly bucket: string
  readonly endpoint: string
  /** The variables that name the bucket and give credentials. */
  readonly bucketVariable: string
  readonly credentials: string
  /** What the credentials must allow. */
  readonly permissions: string
}

/** Says why a bucket cannot be opened: CONFIG_INVALID if the operator must change something, else STORE_UNAVAILABLE. */
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
        `create it, or name another with ${place.bucketVariable}`,
      )
    case 'forbidden':
      return invalid(
        `the bucket "${bucket}" at ${endpoint} refuses access (${doing})`,
        `the credentials (${place.credentials}) must be right and allow ${place.permissions}`,
      )
    case 'refused':
      return invalid(
        `the service at ${endpoint} refuses the bucket "${bucket}" (${doing})`,
        `check the name in ${place.bucketVariable}, the region and the address`,
      )
    case 'no credentials':
      return invalid(`there are no credentials for the bucket "${bucket}"`, `set ${place.credentials}`)
    case 'full':
    case 'busy':
    case 'slow':
    case 'unreachable':
    case 'other': {
      const why = trouble === 'other' ? cause.message : inWords[trouble]
      const code = codeOf(error)
      return new NixeryError(
        'STORE_UNAVAILABLE',
        `the bucket "${bucket}" at ${endpoint} cannot be opened (${doing}): ${why}${code === undefined ? '' : `, ${code}`}`,
        { cause, hint: 'check the address, the network and the service' },
      )
    }
  }
}

/** The SDKs' errors hold whole requests, with bearer tokens; of these, what is worth a log. */
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
