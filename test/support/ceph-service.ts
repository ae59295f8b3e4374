import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import type { RemoteService } from '../../src/store/testing.ts'
import type { S3Options } from '../../src/store/s3-client.ts'
import { openS3Store } from '../../src/store/s3.ts'
import type { Ceph } from './ceph.ts'

/** Ceph as a service for the store suites. `optionsOf` completes the options of a store. */
export function cephService(
  ceph: Ceph,
  optionsOf: (bucket: string, options?: Partial<S3Options>) => S3Options,
): RemoteService {
  const { endpoint } = ceph
  const admin = new S3Client({
    endpoint,
    credentials: ceph,
    region: 'us-east-1',
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  })
  const list = async (Bucket: string) => {
    const { Contents = [] } = await admin.send(new ListObjectsV2Command({ Bucket }))
    return Contents.map(({ Key = '' }) => Key)
  }
  let count = 0
  return {
    endpoint,
    async makeBucket() {
      const Bucket = `test-${(count += 1)}`
      await admin.send(new CreateBucketCommand({ Bucket }))
      return Bucket
    },
    async removeBucket(Bucket) {
      for (const Key of await list(Bucket)) await admin.send(new DeleteObjectCommand({ Bucket, Key }))
      await admin.send(new DeleteBucketCommand({ Bucket }))
    },
    async objects(Bucket) {
      const found = (await list(Bucket)).map(async (name) => {
        const head = await admin.send(new HeadObjectCommand({ Bucket, Key: name }))
        return { name, size: head.ContentLength ?? -1, contentType: head.ContentType ?? '' }
      })
      return Promise.all(found)
    },
    async writeObject(Bucket, Key, ContentType, Body) {
      await admin.send(new PutObjectCommand({ Bucket, Key, ContentType, Body }))
    },
    async unfinished(Bucket) {
      const { Uploads = [] } = await admin.send(new ListMultipartUploadsCommand({ Bucket }))
      return Uploads.length
    },
    open: (bucket, options) => openS3Store(optionsOf(bucket, options)),
  }
}
