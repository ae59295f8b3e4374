import type { S3Client } from '@aws-sdk/client-s3'
import type * as sdkModule from '@aws-sdk/client-s3'
import { NixeryError } from '../errors.ts'
import type { BucketOptions, BucketTimes } from './bucket.ts'
import { uploadLimit, within } from './remote.ts'
import { openingError, troubleOf, type Place } from './trouble.ts'

type Sdk = typeof sdkModule

/** A bucket, and how to get at it. */
export type S3Bucket = BucketTimes & {
  readonly bucket: string
  /** The variable with its name, for messages: S3_BUCKET by default. */
  readonly bucketVariable?: string
  /** Base URL of another service with the same protocol. */
  readonly endpoint: string | undefined
  readonly region: string
  /** If undefined, AWS's default chain: environment, profile, role of the machine. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
  /** Whether URLs have the bucket in the path, and not in the host name. */
  readonly pathStyle: boolean
  /** How long redirect URLs are valid, in seconds. If undefined, clients are not redirected. */
  readonly linkExpiration: number | undefined
}

export type S3Options = BucketOptions & S3Bucket

/** Blobs larger than this are uploaded in parts of this many bytes. S3 requires at least 5 MiB. */
export const partSize = 8 * 1024 * 1024
// Attempts for each request. The SDK waits between them, with increasing delays.
const attempts = 5

/** Creates a client with timeouts for connecting and for uploading a part. */
export function createS3Client({ S3Client: Client }: Sdk, options: S3Bucket): S3Client {
  const { endpoint, region, credentials, pathStyle, timeout } = options
  if (endpoint !== undefined && !/^https?:\/\//.test(endpoint)) {
    throw new NixeryError('CONFIG_INVALID', `S3_ENDPOINT is not a valid URL: ${endpoint}`, {
      hint: 'use a URL that begins with http:// or https://',
    })
  }
  return new Client({
    region,
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials && { credentials }),
    forcePathStyle: pathStyle,
    maxAttempts: attempts,
    // Other services do not support the checksums that the SDK would add. The signature of each request already covers
    // the sha256 of its body, and services verify it.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: (timeout * 1000) / 4,
      requestTimeout: uploadLimit(partSize, timeout) * 1000,
      throwOnRequestTimeout: true,
      // The SDK would warn on the console about queued requests, which are intended here.
      socketAcquisitionWarningTimeout: 3_600_000,
    },
  })
}

/**
 * Follows the clock of the service by the times of its responses. The SDK does so for requests that it sends itself, but not
 * for URLs that it signs for others, which the service would refuse if our clock is wrong.
 * @returns how far it is ahead of ours now, in milliseconds; right to within seconds
 */
export function followClock(client: S3Client): () => number {
  let ahead = 0
  client.middlewareStack.add(
    (next) => async (args) => {
      const result = await next(args)
      const { headers } = result.response as { readonly headers?: Readonly<Record<string, string>> }
      const time = Date.parse(headers?.['date'] ?? '')
      if (Number.isFinite(time)) ahead = time - Date.now()
      return result
    },
    { name: 'followClock', step: 'deserialize' },
  )
  return () => ahead
}

/**
 * Checks that the bucket exists and that its objects can be read and written, and leaves nothing in it.
 * @throws CONFIG_INVALID, STORE_UNAVAILABLE
 */
export async function checkS3Bucket(sdk: Sdk, client: S3Client, options: S3Bucket): Promise<void> {
  const { bucket: Bucket, region } = options
  const place: Place = {
    bucket: Bucket,
    endpoint: options.endpoint ?? `Amazon S3 in ${region}`,
    bucketVariable: options.bucketVariable ?? 'S3_BUCKET',
    credentials: 'S3_ACCESS_KEY and S3_SECRET_KEY, or AWS’s default credentials',
    permissions: 's3:ListBucket, s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload',
  }
  const attempt = async (doing: string, work: (abortSignal: AbortSignal) => Promise<unknown>) => {
    try {
      await within(options.timeout, work)
    } catch (error) {
      const actual = regionOf(error)
      if (actual !== undefined && actual !== region) {
        throw new NixeryError('CONFIG_INVALID', `the bucket "${Bucket}" is in the region ${actual}`, {
          hint: `set AWS_REGION=${actual}`,
        })
      }
      throw openingError(error, place, doing)
    }
  }

  await attempt('reading its metadata', (abortSignal) =>
    client.send(new sdk.HeadBucketCommand({ Bucket }), { abortSignal }),
  )
  await attempt('reading', async (abortSignal) => {
    try {
      await client.send(new sdk.GetObjectCommand({ Bucket, Key: 'layers/.none' }), { abortSignal })
    } catch (error) {
      if (troubleOf(error) !== 'absent') throw error
    }
  })
  // A multipart upload that is aborted needs the same permissions as a complete one.
  await attempt('writing', async (abortSignal) => {
    const target = { Bucket, Key: 'layers/.check' }
    const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(target), { abortSignal })
    await client.send(new sdk.AbortMultipartUploadCommand({ ...target, UploadId }), { abortSignal })
  })
}

/** The region of the bucket, if the service reports it. */
function regionOf(error: unknown): string | undefined {
  const { $response } = error as { $response?: { headers?: Record<string, string> } }
  return $response?.headers?.['x-amz-bucket-region']
}
