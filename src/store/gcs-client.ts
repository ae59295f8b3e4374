import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { Bucket, File, Storage } from '@google-cloud/storage'
import type * as sdkModule from '@google-cloud/storage'
import pRetry from 'p-retry'
import { NixeryError } from '../errors.ts'
import type { BucketOptions } from './bucket.ts'
import { within, type Coming } from './remote.ts'
import { isPassing, openingError, troubleOf, type Place } from './trouble.ts'

type Sdk = typeof sdkModule

export type GcsOptions = BucketOptions & {
  readonly bucket: string
  /** Base address of a service that speaks the protocol, other than Google's; it gets no credentials. */
  readonly endpoint: string | undefined
  /**
   * The file in GOOGLE_APPLICATION_CREDENTIALS, if that is set: Google's SDK takes credentials from there by itself,
   * and their key signs addresses. Without, the other application default credentials.
   */
  readonly keyFile: string | undefined
  /** Whether clients are sent to the bucket: to a signed address with a key, else to the public one. */
  readonly redirect: boolean
  /** Most seconds between two attempts; at least 1. */
  readonly longestDelay: number
}

const googleEndpoint = 'https://storage.googleapis.com'
const neededPermissions: readonly string[] = ['create', 'delete', 'get', 'list'].map(
  (verb) => `storage.objects.${verb}`,
)

// Attempts at one request.
const attempts = 4
// How long a signed address works, in ms: the original's.
const linkExpiration = 5 * 60_000

/** Does something again, after ever longer waits, if it may well succeed then. */
export const withRetries = <T>(
  work: () => Promise<T>,
  { longestDelay }: GcsOptions,
  signal?: AbortSignal,
): Promise<T> =>
  pRetry(work, {
    retries: attempts - 1,
    minTimeout: 250,
    maxTimeout: longestDelay * 1000,
    shouldRetry: ({ error }) => isPassing(error),
    signal,
  })

/** The address of the service, without a slash at its end. */
const endpointOf = ({ endpoint }: GcsOptions): string => (endpoint ?? googleEndpoint).replace(/\/+$/, '')

/** Whether the service is Google's: others get no tokens of Google's. */
const isGoogle = (options: GcsOptions): boolean =>
  new URL(endpointOf(options)).hostname.endsWith('.googleapis.com')

/**
 * A client of the service.
 * @param repeats whether it repeats failed requests by itself, as it must to go on with an upload in chunks
 */
export function createGcsClient(sdk: Sdk, options: GcsOptions, repeats: boolean): Storage {
  const apiEndpoint = endpointOf(options)
  if (!URL.canParse(apiEndpoint) || !/^https?:\/\//.test(apiEndpoint)) {
    throw new NixeryError(
      'CONFIG_INVALID',
      `the address of Google Cloud Storage is not one: ${apiEndpoint}`,
      {
        hint: 'GCS_ENDPOINT begins with http:// or https://',
      },
    )
  }
  return new sdk.Storage({
    apiEndpoint,
    useAuthWithCustomEndpoint: isGoogle(options),
    retryOptions: {
      autoRetry: repeats,
      // A name stands for its bytes here, so that every request may be repeated.
      idempotencyStrategy: sdk.IdempotencyStrategy.RetryAlways,
      maxRetries: attempts - 1,
      maxRetryDelay: options.longestDelay,
      totalTimeout: options.timeout,
    },
  })
}

/**
 * Downloads objects. Not with the SDK, of which a server's many readers ask too much: when one of them leaves, it
 * breaks the connections of all (File.createReadStream destroys the shared agent); what it repeats may throw where
 * nobody can catch it (teeny-request 11.1 pipes into a destroyed stream); and it knows no time limits.
 */
export function downloads(storage: Storage, options: GcsOptions) {
  return async (file: File, start: number, end: number | undefined, signal: AbortSignal): Promise<Coming> => {
    const { bucket, name } = file
    const path = `/storage/v1/b/${encodeURIComponent(bucket.name)}/o/${encodeURIComponent(name)}?alt=media`
    const url = `${endpointOf(options)}${path}`
    const headers = isGoogle(options) ? await storage.authClient.getRequestHeaders(url) : new Headers()
    headers.set('Accept-Encoding', 'identity') // the bytes as they are stored
    if (start > 0 || end !== undefined)
      headers.set('Range', `bytes=${start}-${end === undefined ? '' : end - 1}`)
    const response = await fetch(url, { headers, signal })
    if (!response.ok || !response.body) {
      throw Object.assign(new Error(await response.text()), { status: response.status })
    }
    const length = response.headers.get('Content-Length')
    const stream = Readable.fromWeb(response.body)
    return { stream, size: length === null ? undefined : Number(length) }
  }
}

/**
 * Makes sure that the bucket is there and that objects in it can be read and written, without touching any.
 * @throws CONFIG_INVALID, STORE_UNAVAILABLE
 */
export async function checkGcsBucket(bucket: Bucket, options: GcsOptions): Promise<void> {
  const place: Place = {
    bucket: options.bucket,
    endpoint: endpointOf(options),
    bucketVariable: 'GCS_BUCKET',
    credentials: 'GOOGLE_APPLICATION_CREDENTIALS, or what Google’s application default credentials take',
    permissions: 'what the role Storage Object User does (roles/storage.objectUser)',
  }
  const ask = <T>(send: () => Promise<T>) =>
    within(options.timeout, (signal) => withRetries(send, options, signal))
  const granted: readonly string[] = await ask(() => bucket.iam.testPermissions([...neededPermissions])).then(
    ([permissions]) => neededPermissions.filter((permission) => permissions[permission]),
    (error: unknown) => {
      // Not every service that speaks the protocol has this.
      if (['absent', 'refused', 'other'].includes(troubleOf(error))) return []
      throw openingError(error, place, 'asking for permissions')
    },
  )
  if (granted.length === neededPermissions.length) return
  if (granted.length > 0) {
    const missing = neededPermissions.filter((permission) => !granted.includes(permission)).join(', ')
    throw new NixeryError('CONFIG_INVALID', `the bucket "${options.bucket}" refuses ${missing}`, {
      hint: `the credentials must allow ${place.permissions}`,
    })
  }
  try {
    await ask(() => bucket.getMetadata())
  } catch (error) {
    throw openingError(error, place, 'looking for it')
  }
}

/**
 * What gives the addresses of objects for clients: signed ones with a key, else those of a bucket that is open to
 * all. Undefined when clients are not to be sent there.
 * @throws CONFIG_INVALID when the key cannot be read or cannot sign
 */
export async function addresses(
  bucket: Bucket,
  options: GcsOptions,
): Promise<((file: File) => Promise<string>) | undefined> {
  const { keyFile, redirect, timeout } = options
  if (keyFile !== undefined) await checkKey(keyFile)
  if (!redirect) return undefined
  if (keyFile === undefined) {
    return (file) => Promise.resolve(`${endpointOf(options)}/${bucket.name}/${file.name}`)
  }
  const signed = async (file: File) => {
    const expires = Date.now() + linkExpiration
    const [url] = await file.getSignedUrl({ version: 'v4', action: 'read', expires })
    return url
  }
  try {
    await within(timeout, () => signed(bucket.file('layers/.check')))
  } catch (cause) {
    throw new NixeryError('CONFIG_INVALID', `the key in ${keyFile} cannot sign addresses`, {
      cause,
      hint: 'give the key of a service account in GOOGLE_APPLICATION_CREDENTIALS, or set NIXERY_REDIRECT=off',
    })
  }
  return signed
}

async function checkKey(file: string): Promise<void> {
  try {
    JSON.parse(await readFile(file, 'utf8'))
  } catch {
    // Without the cause: the message of a JSON error quotes the text, which may be a secret.
    throw new NixeryError('CONFIG_INVALID', `${file} is not a readable key file`, {
      hint: 'GOOGLE_APPLICATION_CREDENTIALS names a JSON file with credentials of Google’s',
    })
  }
}
