import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { ensurePrograms } from '../scripts/install.ts'
import { NixeryError } from '../src/errors.ts'
import { makeCache } from './support/binary-cache.ts'
import { buildPackages, caches, openCacheImages, origins, type CacheImages } from './support/cache-images.ts'
import { startCeph, type Ceph } from './support/ceph.ts'

let folder: string
let images: CacheImages
let ceph: Ceph
before(async () => {
  await ensurePrograms(['ceph-mon', 'ceph-osd', 'radosgw', 'ceph'], () => {})
  folder = await mkdtemp(join(tmpdir(), 'nixery-cache-bucket-'))
  ceph = await startCeph(folder)
  images = await openCacheImages()
})
after(async () => {
  await images?.dispose()
  await ceph?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** Puts the files of a cache into a bucket that all may read, but not list. Returns its URL. */
async function publish(root: string): Promise<string> {
  const { endpoint } = ceph
  const s3 = new S3Client({ endpoint, credentials: ceph, region: 'us-east-1', forcePathStyle: true })
  const Bucket = 'cache'
  await s3.send(new CreateBucketCommand({ Bucket }))
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const file = join(entry.parentPath, entry.name)
    const [Key, Body] = [file.slice(root.length + 1), await readFile(file)]
    await s3.send(new PutObjectCommand({ Bucket, Key, Body, ACL: 'public-read' }))
  }
  return `${endpoint}/${Bucket}`
}

describe('a binary cache in a bucket of S3, at its HTTP address', () => {
  it('provides images, and lacks what it responds 403 for', async () => {
    const { root, set, key } = images
    const paths = await buildPackages(set, ['apart'])
    await makeCache(join(root, 'zstd'), paths, { compression: 'zstd', secret: key.secret })
    const url = await publish(join(root, 'zstd'))
    const fromStore = await images.build(['apart'], {})
    const fromBucket = await images.build(['apart'], caches(url))
    assert.deepEqual(fromBucket.digests, fromStore.digests)
    assert.deepEqual(origins(fromBucket.events), ['caches'])

    const missing = await fetch(`${url}/${'0'.repeat(32)}.narinfo`)
    assert.equal(missing.status, 403)
    await assert.rejects(images.build(['lonely'], caches(url)), (error) => {
      assert.ok(error instanceof NixeryError)
      assert.equal(error.code, 'BUILD_FAILED')
      assert.match(error.message, /-lonely is in no binary cache:\n {2}http\S*\/cache does not have it$/)
      return true
    })
  })
})
