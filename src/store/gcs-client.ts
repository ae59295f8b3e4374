import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import type { Bucket, File, Storage } from '@google-cloud/storage'
import type * as sdkModule from '@google-cloud/storage'
import pRetry from 'p-retry'
import { NixeryError } from '../errors.ts'
import type { BucketOptions, BucketTimes } from './bucket.ts'
import { within, type ObjectStream } from './remote.ts'
import { isPassing, openingError, troubleOf, type Place } from './trouble.ts'

type Sdk = typeof sdkModule

/** A bucket, and how to access it. */
export type GcsBucket = BucketTimes & {
  readonly bucket: string
  /** The variable with its name, for messages: GCS_BUCKET by default. */
  readonly bucketVariable?: string
  /** Base URL of another service with the same protocol. It receives no credentials. */
  readonly endpoint: string | undefined
  /**
   * The value of GOOGLE_APPLICATION_CREDENTIALS. Google's SDK reads the credentials from this file, and their key signs
   * URLs. If undefined, the SDK looks for other application default credentials.
   */
  readonly keyFile: string | undefined
  /** Whether clients are redirected to the bucket: to a signed URL if there is a key, otherwise to the public one. */
  readonly redirect: boolean
  /** The longest delay between two attempts, in seconds; at least 1. */
  readonly longestDelay: number
}

export type GcsOptions = BucketOptions & GcsBucket

const googleEndpoint = 'https://storage.googleapis.com'
const neededPermissions: readonly string[] = ['create', 'delete', 'get', 'list'].map(
  (verb) => `storage.objects.${verb}`,
)

// Attempts for each request.
const attempts = 4
// How long a signed URL is valid, in milliseconds. The value is the original's.
const linkExpiration = 5 * 60_000

/** Retries with increasing delays after temporary errors. */
export const withRetries = <T>(
  work: () => Promise<T>,
  { longestDelay }: GcsBucket,
  signal?: AbortSignal,
): Promise<T> =>
  pRetry(work, {
    retries: attempts - 1,
    minTimeout: 250,
    maxTimeout: longestDelay * 1000,
    shouldRetry: ({ error }) => isPassing(error),
    signal,
  })

/** The base URL of the service, without a slash at its end. */
const endpointOf = ({ endpoint }: GcsBucket): string => (endpoint ?? googleEndpoint).replace(/\/+$/, '')

/** Whether the service is Google's. Other services must not receive Google's tokens. */
const isGoogle = (options: GcsBucket): boolean =>
  new URL(endpointOf(options)).hostname.endsWith('.googleapis.com')

/**
 * Creates a client of the service.
 * @param retries whether it retries failed requests itself, which resumable uploads need
 */
export function createGcsClient(sdk: Sdk, options: GcsBucket, retries: boolean): Storage {
  const apiEndpoint = endpointOf(options)
  if (!URL.canParse(apiEndpoint) || !/^https?:\/\//.test(apiEndpoint)) {
    throw new NixeryError('CONFIG_INVALID', `GCS_ENDPOINT is not a valid URL: ${apiEndpoint}`, {
      hint: 'use a URL that begins with http:// or https://',
    })
  }
  return new sdk.Storage({
    apiEndpoint,
    useAuthWithCustomEndpoint: isGoogle(options),
    retryOptions: {
      autoRetry: retries,
      // Names are digests of the contents, so every request can be repeated.
      idempotencyStrategy: sdk.IdempotencyStrategy.RetryAlways,
      maxRetries: attempts - 1,
      maxRetryDelay: options.longestDelay,
      totalTimeout: options.timeout,
    },
  })
}

/**
 * Returns a function that downloads objects. It does not use the SDK, which has three problems: when one reader
 * disconnects, it breaks all connections (File.createReadStream destroys the shared agent); its retries can throw outside
 * of any promise (teeny-request 11.1 pipes into a destroyed stream); and it has no timeouts.
 */
export function downloads(storage: Storage, options: GcsBucket) {
  return async (
    file: File,
    start: number,
    end: number | undefined,
    signal: AbortSignal,
  ): Promise<ObjectStream> => {
    const { bucket, name } = file
    const path = `/storage/v1/b/${encodeURIComponent(bucket.name)}/o/${encodeURIComponent(name)}?alt=media`
    const url = `${endpointOf(options)}${path}`
    const headers = isGoogle(options) ? await storage.authClient.getRequestHeaders(url) : new Headers()
    headers.set('Accept-Encoding', 'identity') // the bytes as stored
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
 * Checks that the bucket exists and that its objects can be read and written, without touching any.
 * @throws CONFIG_INVALID, STORE_UNAVAILABLE
 */
export async function checkGcsBucket(bucket: Bucket, options: GcsBucket): Promise<void> {
  const place: Place = {
    bucket: options.bucket,
    endpoint: endpointOf(options),
    bucketVariable: options.bucketVariable ?? 'GCS_BUCKET',
    credentials: 'GOOGLE_APPLICATION_CREDENTIALS, or Google’s application default credentials',
    permissions: 'the permissions of the role Storage Object User (roles/storage.objectUser)',
  }
  const query = <T>(send: () => Promise<T>) =>
    within(options.timeout, (signal) => withRetries(send, options, signal))
  const granted: readonly string[] = await query(() =>
    bucket.iam.testPermissions([...neededPermissions]),
  ).then(
    ([permissions]) => neededPermissions.filter((permission) => permissions[permission]),
    (error: unknown) => {
      // Other services with this protocol may not support the request.
      if (['absent', 'refused', 'other'].includes(troubleOf(error))) return []
      throw openingError(error, place, 'testing permissions')
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
    await query(() => bucket.getMetadata())
  } catch (error) {
    throw openingError(error, place, 'reading its metadata')
  }
}

/**
 * Returns a function that makes URLs for clients: signed ones if there is a key, otherwise those of a public bucket.
 * Returns undefined if clients are not redirected.
 * @throws CONFIG_INVALID when the key cannot be read or cannot sign
 */
export async function addresses(
  bucket: Bucket,
  options: GcsBucket,
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
    throw new NixeryError('CONFIG_INVALID', `the key in ${keyFile} cannot sign URLs`, {
      cause,
      hint: 'set GOOGLE_APPLICATION_CREDENTIALS to the key file of a service account, or set NIXERY_REDIRECT=off',
    })
  }
  return signed
}

async function checkKey(file: string): Promise<void> {
  try {
    JSON.parse(await readFile(file, 'utf8'))
  } catch {
    // No cause: the message of a JSON error quotes the text, which can be a secret.
    throw new NixeryError('CONFIG_INVALID', `${file} is not a readable key file`, {
      hint: 'GOOGLE_APPLICATION_CREDENTIALS must name a JSON file with Google credentials',
    })
  }
}
