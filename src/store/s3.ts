import { rm } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { NixeryError } from '../errors.ts'
import type { Digest } from '../image/digest.ts'
import { bucketCheck, createPut, importOptional, readObject, uploadLimit, within } from './remote.ts'
import { checkS3Bucket, createS3Client, partSize } from './s3-client.ts'
import { openSpool, readSpooled } from './spool.ts'
import { digestOfName, objectName, objectPrefix, storeError, type BlobStore } from './store.ts'
import { runningError, troubleOf } from './trouble.ts'

export type S3Options = {
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
  /** Folder on a local disk for files that are to become blobs. */
  readonly spoolDirectory: string
  /** Seconds within which the service must answer, all attempts together. */
  readonly timeout: number
}

const mostParts = 10_000
// Seconds that a signature of S3's may last.
const longestLink = 7 * 24 * 3600
// Parts of a blob that are sent, and lie in memory, at once.
const partsAtOnce = 2

/**
 * Blobs as objects `layers/<sha256>` in a bucket of S3, or of a service that speaks its protocol.
 * @throws CONFIG_INVALID when the bucket is missing or refuses access, STORE_UNAVAILABLE when it cannot be reached
 */
export async function openS3Store(options: S3Options): Promise<BlobStore> {
  const { bucket: Bucket, spoolDirectory, timeout, linkExpiration } = options
  refuseLongLinks(linkExpiration)
  const [s3, { Upload }, { getSignedUrl }] = await importSdk()
  const client = createS3Client(s3, options)
  await checkS3Bucket(s3, client, options)
  await openSpool(spoolDirectory).catch((error: unknown) => {
    throw storeError(error, `opening the folder ${spoolDirectory}`)
  })

  const objectOf = (digest: Digest) => ({ Bucket, Key: objectName(digest) })
  /** A small request: `timeout` bounds all attempts together, and no single one takes it all. */
  const ask = <T>(send: (options: { abortSignal: AbortSignal; requestTimeout: number }) => Promise<T>) =>
    within(timeout, (abortSignal) => send({ abortSignal, requestTimeout: (timeout * 1000) / 3 }))
  const bucketIsThere = bucketCheck(() =>
    ask((http) => client.send(new s3.HeadBucketCommand({ Bucket }), http)),
  )

  const store: BlobStore = {
    spoolDirectory,

    async stat(digest) {
      try {
        const found = await ask((http) => client.send(new s3.HeadObjectCommand(objectOf(digest)), http))
        return found.ContentLength
      } catch (error) {
        try {
          if (troubleOf(error) !== 'absent') throw error
          await bucketIsThere()
          return undefined
        } catch (failure) {
          throw runningError(failure, 'looking for a blob')
        }
      }
    },

    async read(digest, range) {
      const open = async (start: number, end: number | undefined, abortSignal: AbortSignal) => {
        const whole = start === 0 && end === undefined
        const Range = whole ? undefined : `bytes=${start}-${end === undefined ? '' : end - 1}`
        const command = new s3.GetObjectCommand({ ...objectOf(digest), Range })
        const { Body, ContentLength } = await client.send(command, { abortSignal })
        return { stream: Body as Readable, size: ContentLength }
      }
      return readObject(open, range, timeout)
    },

    async putFile(blob, file) {
      try {
        await put(blob, () => readSpooled(file, blob.size))
      } finally {
        await rm(file, { force: true })
      }
    },

    putBytes: (blob, bytes) => put(blob, () => Readable.from([bytes], { objectMode: false })),

    async delete(digest) {
      try {
        await ask((http) => client.send(new s3.DeleteObjectCommand(objectOf(digest)), http))
      } catch (error) {
        throw runningError(error, 'removing a blob')
      }
    },

    async *list() {
      let ContinuationToken: string | undefined
      do {
        const command = new s3.ListObjectsV2Command({ Bucket, Prefix: objectPrefix, ContinuationToken })
        const page = await ask((http) => client.send(command, http)).catch((error: unknown) => {
          throw runningError(error, 'listing blobs')
        })
        for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
          const digest = digestOfName(Key)
          if (digest) yield { digest, size: Size, modified: Number(LastModified) / 1000 }
        }
        ContinuationToken = page.NextContinuationToken
      } while (ContinuationToken !== undefined)
    },

    ...(linkExpiration !== undefined && {
      async redirectUrl(digest) {
        const command = new s3.GetObjectCommand(objectOf(digest))
        try {
          return await getSignedUrl(client, command, { expiresIn: Math.ceil(linkExpiration) })
        } catch (error) {
          throw runningError(error, 'signing an address')
        }
      },
    }),
  }
  // In one request, or in parts that become an object only when all are there and are dropped when one fails.
  const put = createPut(store, async ({ digest, size, mediaType }, content) => {
    const Body = content()
    const upload = new Upload({
      client,
      params: { ...objectOf(digest), Body, ContentLength: size, ContentType: mediaType },
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
  })
  return store
}

function refuseLongLinks(seconds = 0): void {
  if (seconds <= longestLink) return
  throw new NixeryError('CONFIG_INVALID', 'addresses in S3 can be signed for seven days at most', {
    hint: 'set S3_LINK_EXPIRATION to 168h or less',
  })
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
