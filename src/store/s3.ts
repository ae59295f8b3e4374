import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { NixeryError } from '../errors.ts'
import { bucketStore, type BucketOperations } from './bucket.ts'
import { importOptional, uploadLimit, within } from './remote.ts'
import {
  checkS3Bucket,
  createS3Client,
  followClock,
  partSize,
  type S3Bucket,
  type S3Options,
} from './s3-client.ts'
import { objectPrefix, type BlobStore } from './store.ts'
import { statusOf } from './trouble.ts'

const mostParts = 10_000
// The longest validity of a signed URL in S3, in seconds.
const longestLink = 7 * 24 * 3600
// Parts of a blob that are uploaded, and in memory, at once.
const partsAtOnce = 2
// Attempts to create an object that others create, too.
const mostConflicts = 5

/**
 * Opens a store in a bucket of S3, or of another service with its protocol.
 * @throws CONFIG_INVALID when the bucket is missing or refuses access, STORE_UNAVAILABLE when it cannot be reached
 */
export async function openS3Store(options: S3Options): Promise<BlobStore> {
  return bucketStore(await openS3Bucket(options), options)
}

/** Opens a bucket of S3, with the errors of `openS3Store`. */
export async function openS3Bucket(options: S3Bucket): Promise<BucketOperations> {
  const { bucket: Bucket, timeout, linkExpiration } = options
  refuseLongLinks(linkExpiration)
  const [s3, { Upload }, { getSignedUrl }] = await importSdk()
  const client = createS3Client(s3, options)
  const clockAhead = followClock(client)
  await checkS3Bucket(s3, client, options)

  /** Sends a small request; `timeout` bounds all attempts together, and a single attempt gets a third of it. */
  const ask = <T>(send: (options: { abortSignal: AbortSignal; requestTimeout: number }) => Promise<T>) =>
    within(timeout, (abortSignal) => send({ abortSignal, requestTimeout: (timeout * 1000) / 3 }))

  return {
    async size(Key) {
      const head = await ask((http) => client.send(new s3.HeadObjectCommand({ Bucket, Key }), http))
      return head.ContentLength
    },

    async open(Key, start, end, abortSignal) {
      const whole = start === 0 && end === undefined
      const Range = whole ? undefined : `bytes=${start}-${end === undefined ? '' : end - 1}`
      const command = new s3.GetObjectCommand({ Bucket, Key, Range })
      const { Body, ContentLength } = await client.send(command, { abortSignal })
      return { stream: Body as Readable, size: ContentLength }
    },

    // One request, or a multipart upload, which creates the object when all parts are there and is aborted when one fails.
    async upload(Key, { size, mediaType }, content) {
      const Body = content()
      const upload = new Upload({
        client,
        params: { Bucket, Key, Body, ContentLength: size, ContentType: mediaType },
        partSize: Math.max(partSize, Math.ceil(size / mostParts)),
        queueSize: partsAtOnce,
      })
      try {
        await within(uploadLimit(size, timeout), async (signal) => {
          signal.addEventListener('abort', () => void upload.abort())
          await upload.done()
        })
      } finally {
        Body.destroy()
      }
    },

    async create(Key, Body, ContentType) {
      const params = { Bucket, Key, Body, ContentType, IfNoneMatch: '*' }
      for (let attempt = 1; ; attempt += 1) {
        try {
          await ask((http) => client.send(new s3.PutObjectCommand(params), http))
          return true
        } catch (error) {
          if (statusOf(error) === 412) return false
          // Another request creates it at the same time, and may fail.
          if (statusOf(error) !== 409 || attempt === mostConflicts) throw error
          await delay(100 * attempt)
        }
      }
    },

    async remove(Key) {
      await ask((http) => client.send(new s3.DeleteObjectCommand({ Bucket, Key }), http))
    },

    async list(ContinuationToken) {
      const command = new s3.ListObjectsV2Command({ Bucket, Prefix: objectPrefix, ContinuationToken })
      const page = await ask((http) => client.send(command, http))
      const objects = (page.Contents ?? []).map(({ Key = '', Size = 0, LastModified }) => ({
        name: Key,
        size: Size,
        modified: Number(LastModified) / 1000,
      }))
      return { objects, next: page.NextContinuationToken }
    },

    checkBucket: () => ask((http) => client.send(new s3.HeadBucketCommand({ Bucket }), http)),

    ...(linkExpiration !== undefined && {
      address: (Key: string) =>
        getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key }), {
          expiresIn: Math.ceil(linkExpiration),
          signingDate: new Date(Date.now() + clockAhead()),
        }),
    }),
  }
}

function refuseLongLinks(seconds = 0): void {
  if (seconds <= longestLink) return
  throw new NixeryError(
    'CONFIG_INVALID',
    `S3_LINK_EXPIRATION is ${seconds} s, but S3 signs URLs for at most seven days`,
    {
      hint: 'set it to 168h or less',
    },
  )
}

const importSdk = () =>
  importOptional(
    () =>
      Promise.all([
        import('@aws-sdk/client-s3'),
        import('@aws-sdk/lib-storage'),
        import('@aws-sdk/s3-request-presigner'),
      ]),
    '@aws-sdk/client-s3, @aws-sdk/lib-storage and @aws-sdk/s3-request-presigner',
    'the S3 store',
  )
