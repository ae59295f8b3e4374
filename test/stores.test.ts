import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { describeSharedCache } from '../src/sharing/conformance.ts'
import { openGcsBucket } from '../src/store/gcs.ts'
import { bucketObjects, type Objects } from '../src/store/objects.ts'
import { describeObjects } from '../src/store/objects-conformance.ts'
import { describeRemoteStore } from '../src/store/remote-conformance.ts'
import { openS3Bucket } from '../src/store/s3.ts'
import { ofBlobs } from '../src/store/store.ts'
import { kinds, startBuckets, type Buckets } from './support/buckets.ts'

let buckets: Buckets
before(async () => {
  buckets = await startBuckets()
})
after(() => buckets?.stop())

for (const kind of kinds) describeRemoteStore(`the store in ${kind}`, () => buckets.services[kind])

const openers: Record<string, () => Promise<Objects>> = {
  async S3() {
    const bucket = await buckets.services.S3.makeBucket()
    return bucketObjects(await openS3Bucket(buckets.s3Options(bucket)), { timeout: 20, texts: ofBlobs })
  },
  async 'Google Cloud Storage'() {
    const bucket = await buckets.services['Google Cloud Storage'].makeBucket()
    return bucketObjects(await openGcsBucket(buckets.gcsOptions(bucket)), { timeout: 20, texts: ofBlobs })
  },
}
for (const [kind, open] of Object.entries(openers)) {
  describeObjects(`objects in ${kind}`, open)
  describeSharedCache(`a shared cache in ${kind}`, open)
}

describe('Google', () => {
  it('received only valid requests', () => {
    assert.deepEqual(buckets.gcs.complaints, [])
  })
})
