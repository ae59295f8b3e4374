import type { S3Client } from '@aws-sdk/client-s3'
import type * as sdkModule from '@aws-sdk/client-s3'
import { NixeryError } from '../errors.ts'
import type { BucketOptions } from './bucket.ts'
import { uploadLimit, within } from './remote.ts'
import { openingError, troubleOf, type Place } from './trouble.ts'

type Sdk = typeof sdkModule

export type S3Options = BucketOptions & {
  readonly bucket: string
  /** Base address of a service other than AWS's. */
  readonly endpoint: string | undefined
  readonly region: string
  /** Without, AWS's own chain: environment, profile, role of the machine. */
  readonly credentials: { readonly accessKeyId: string; readonly secretAccessKey: string } | undefined
  /** Whether the bucket stands in the path of an address and not in its host name. */
  readonly pathStyle: boolean
  /** Seconds that a redirect's address works; without, there are no redirects. */
  readonly linkExpiration: number | undefined
}

/** Blobs larger than this are uploaded in parts of this many bytes; S3 takes parts from 5 MiB. */
export const partSize = 8 * 1024 * 1024
// Attempts at one request; the SDK waits between them, longer each time.
const attempts = 5

/** A client whose every request ends: a connection is made, and a part is taken, in time or the attempt fails. */
export function createS3Client({ S3Client: Client }: Sdk, options: S3Options): S3Client {
  const { endpoint, region, credentials, pathStyle, timeout } = options
  if (endpoint !== undefined && !/^https?:\/\//.test(endpoint)) {
    throw new NixeryError('CONFIG_INVALID', `the address of the S3 service is not one: ${endpoint}`, {
      hint: 'S3_ENDPOINT begins with http:// or https://',
    })
  }
  return new Client({
    region,
    ...(endpoint !== undefined && { endpoint }),
    ...(credentials && { credentials }),
    forcePathStyle: pathStyle,
    maxAttempts: attempts,
    // Services other than AWS's do not know the checksums that the SDK would add. Each body's sha256 is part of
    // its signature all the same, and the service compares.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: (timeout * 1000) / 4,
      requestTimeout: uploadLimit(partSize, timeout) * 1000,
      throwOnRequestTimeout: true,
      // The SDK would write to the console that requests queue; here they do so on purpose.
      socketAcquisitionWarningTimeout: 3_600_000,
    },
  })
}

/**
 * Makes sure that the bucket is there and that objects in it can be read and written, and leaves nothing in it.
 * @throws CONFIG_INVALID, STORE_UNAVAILABLE
 */
export async function checkS3Bucket(sdk: Sdk, client: S3Client, options: S3Options): Promise<void> {
  const { bucket: Bucket, region } = options
  const place: Place = {
    bucket: Bucket,
    endpoint: options.endpoint ?? `Amazon S3 in ${region}`,
    bucketVariable: 'S3_BUCKET',
    credentials: 'S3_ACCESS_KEY and S3_SECRET_KEY, or what AWS’s tools take',
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

  await attempt('looking for it', (abortSignal) =>
    client.send(new sdk.HeadBucketCommand({ Bucket }), { abortSignal }),
  )
  await attempt('reading', async (abortSignal) => {
    try {
      await client.send(new sdk.GetObjectCommand({ Bucket, Key: 'layers/.none' }), { abortSignal })
    } catch (error) {
      if (troubleOf(error) !== 'absent') throw error
    }
  })
  // An upload in parts that is begun and given up needs the same rights as a whole one.
  await attempt('writing', async (abortSignal) => {
    const target = { Bucket, Key: 'layers/.check' }
    const { UploadId } = await client.send(new sdk.CreateMultipartUploadCommand(target), { abortSignal })
    await client.send(new sdk.AbortMultipartUploadCommand({ ...target, UploadId }), { abortSignal })
  })
}

/** The region that a bucket is in, if that is what the service says. */
function regionOf(error: unknown): string | undefined {
  const { $response } = error as { $response?: { headers?: Record<string, string> } }
  return $response?.headers?.['x-amz-bucket-region']
}
