import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { createBlobs } from '../src/builds/blobs.ts'
import { buildsOf } from '../src/builds/builds-testing.ts'
import { openSqliteCatalog } from '../src/catalog/sqlite.ts'
import { allowAll } from '../src/access/may.ts'
import { createWebFetch, type WebFetch } from '../src/http/web-fetch-testing.ts'
import { digestOf, hexOf } from '../src/image/digest.ts'
import { openGcsStore } from '../src/store/gcs.ts'
import type { BlobStore } from '../src/store/store.ts'
import { kinds, startBuckets, type Buckets } from './support/buckets.ts'
import { logOf } from './support/log.ts'
import { requestV2, openWorkspace, type Workspace } from './support/workspace.ts'
import { plainTexts } from '../src/text/public.ts'
import { createHasher } from '../src/store/hasher.ts'

let buckets: Buckets
before(async () => {
  buckets = await startBuckets()
})
after(() => buckets?.stop())

/** The registry over a store, with an empty catalog. */
async function appOver(store: BlobStore): Promise<WebFetch> {
  const builds = buildsOf(() => Promise.reject(new Error('nothing is built here')))
  const catalog = await openSqliteCatalog(':memory:')
  const source = { tags: () => Promise.resolve(undefined) }
  const blobs = createBlobs({ store, catalog, hasher: createHasher(store) })
  const nothing = { texts: plainTexts, may: allowAll, listener: () => {} }
  return createWebFetch({ builds, blobs, store, source, pulled: catalog, platforms: [], ...nothing })
}

const mediaType = 'application/octet-stream'
const newBlob = (size: number) => {
  const bytes = randomBytes(size)
  return { bytes, digest: digestOf(bytes), blob: { digest: digestOf(bytes), size, mediaType } }
}

for (const kind of kinds) {
  describe(`redirects to ${kind}`, () => {
    const { bytes, digest, blob } = newBlob(100_000)
    const path = `/v2/some/image/blobs/${digest}`
    const service = () => buckets.services[kind]
    let store: BlobStore
    let app: WebFetch
    before(async () => {
      store = await service().open(await service().makeBucket())
      await store.putBytes(blob, bytes)
      app = await appOver(store)
    })

    it('redirect a GET to the bucket, and are not cached', async () => {
      const response = await app(path)
      assert.equal(response.status, 307)
      assert.equal(response.headers.get('Cache-Control'), 'no-store')
      assert.equal(response.headers.get('Docker-Content-Digest'), digest)
      assert.equal(response.headers.get('Content-Length'), '0')
      const location = response.headers.get('Location') ?? ''
      const whole = await fetch(location)
      assert.equal(whole.status, 200)
      assert.deepEqual(Buffer.from(await whole.arrayBuffer()), bytes)
      const part = await fetch(location, { headers: { Range: 'bytes=5-9' } })
      assert.equal(part.status, 206)
      assert.deepEqual(Buffer.from(await part.arrayBuffer()), bytes.subarray(5, 10))
    })

    it('contain URLs that are valid for this blob only, for five minutes', async () => {
      const location = new URL((await app(path)).headers.get('Location') ?? '')
      const query = Object.fromEntries(
        [...location.searchParams].map(([key, value]) => [key.replace(/^X-(Amz|Goog)-/, ''), value]),
      )
      assert.equal(query['Expires'], '300')
      for (const change of [
        (url: URL) => url.searchParams.set(`X-${kind === 'S3' ? 'Amz' : 'Goog'}-Expires`, '3000'),
        (url: URL) => (url.pathname = url.pathname.replace(/.$/, (last) => (last === '0' ? '1' : '0'))),
        (url: URL) => (url.search = ''),
      ]) {
        const other = new URL(location)
        change(other)
        assert.equal((await fetch(other)).status, 403)
      }
    })

    it('are not used for HEAD', async () => {
      const response = await app(path, { method: 'HEAD' })
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('Content-Length'), String(bytes.length))
      assert.equal(response.headers.get('Docker-Content-Digest'), digest)
      assert.equal(response.headers.get('Location'), null)
    })

    it('are not used for missing objects', async () => {
      const response = await app(`/v2/x/blobs/${newBlob(1).digest}`)
      assert.equal(response.status, 404)
    })

    it('are not used when they are disabled', async () => {
      const plain = Object.fromEntries(Object.entries(store).filter(([key]) => key !== 'redirectUrl'))
      const other = await appOver(plain as BlobStore)
      const response = await other(path, { headers: { Range: 'bytes=1-' } })
      assert.equal(response.status, 206)
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes.subarray(1))
    })

    it('are used for blobs that the original Nixery stored, after they were hashed', async () => {
      const bucket = await service().makeBucket()
      const [good, bad] = [newBlob(3000), newBlob(3000)]
      await service().writeObject(bucket, `layers/${hexOf(good.digest)}`, mediaType, good.bytes)
      await service().writeObject(bucket, `layers/${hexOf(bad.digest)}`, mediaType, good.bytes)
      const other = await appOver(await service().open(bucket))
      assert.equal((await other(`/v2/x/blobs/${good.digest}`)).status, 307)
      assert.equal((await other(`/v2/x/blobs/${bad.digest}`)).status, 404)
    })

    it('are replaced by 503 when the bucket is gone', async () => {
      const bucket = await service().makeBucket()
      const other = await appOver(await service().open(bucket))
      await service().removeBucket(bucket)
      for (const method of ['GET', 'HEAD']) {
        const response = await other(path, { method })
        assert.equal(response.status, 503)
        assert.ok(response.headers.has('Retry-After'))
      }
    })
  })
}

describe('a public Google bucket', () => {
  it('needs no key', async () => {
    buckets.gcs.makeBucket('open', { isPublic: true, withheld: ['storage.buckets.get'] })
    const store = await openGcsStore(buckets.gcsOptions('open', { keyFile: undefined }))
    const { bytes, digest, blob } = newBlob(1000)
    await store.putBytes(blob, bytes)
    const url = await store.redirectUrl?.(digest)
    assert.equal(url, `${buckets.gcs.endpoint}/open/layers/${hexOf(digest)}`)
    assert.deepEqual(Buffer.from(await (await fetch(url)).arrayBuffer()), bytes)
  })
})

/** A server's configuration for a store over a new bucket. */
async function environmentOf(kind: (typeof kinds)[number]): Promise<Record<string, string>> {
  const bucket = await buckets.services[kind].makeBucket()
  const { ceph, gcs } = buckets
  return kind === 'S3'
    ? {
        NIXERY_STORAGE_BACKEND: 's3',
        S3_BUCKET: bucket,
        S3_ENDPOINT: ceph.endpoint,
        S3_ACCESS_KEY: ceph.accessKeyId,
        S3_SECRET_KEY: ceph.secretAccessKey,
      }
    : {
        NIXERY_STORAGE_BACKEND: 'gcs',
        GCS_BUCKET: bucket,
        GCS_ENDPOINT: gcs.endpoint,
        GOOGLE_APPLICATION_CREDENTIALS: gcs.account.keyFile,
      }
}

describe('an image in a bucket', () => {
  let workspace: Workspace
  before(async () => {
    workspace = await openWorkspace()
  })
  after(() => workspace.dispose())

  for (const kind of kinds) {
    it(`of ${kind} is pulled, and served by another server over the same bucket`, async () => {
      const NIXERY_PKGS_PATH = await workspace.packageSet('hello = script "hello" "echo hi";')
      const environment = { ...(await environmentOf(kind)), NIXERY_PKGS_PATH }
      const first = await workspace.serve(environment)
      const copy = (address: string, to: string) =>
        execa('skopeo', [
          'copy',
          '--src-tls-verify=false',
          `docker://${address}/hello`,
          `dir:${join(workspace.folder, to)}`,
        ])
      await copy(first.address, `first-${kind}`)
      assert.ok((await logOf(first)).some(({ status }) => status === 307))
      const { response, json } = await requestV2(first, 'hello/manifests/latest')
      const digest = response.headers.get('Docker-Content-Digest')
      const { layers } = json as { layers: { digest: string }[] }

      const second = await workspace.serve({ ...environment, NIXERY_REDIRECT: 'off' })
      const blob = await requestV2(second, `hello/blobs/${layers[0]?.digest}`)
      assert.equal(blob.response.status, 200)
      await copy(second.address, `second-${kind}`)
      assert.ok((await logOf(second)).every(({ status }) => status !== 307))
      const manifest = await requestV2(second, 'hello/manifests/latest')
      assert.equal(manifest.response.headers.get('Docker-Content-Digest'), digest)
    })
  }
})
