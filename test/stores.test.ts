import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { ensurePrograms } from '../scripts/install.ts'
import { createBlobs } from '../src/build/blobs.ts'
import type { Builder } from '../src/build/build.ts'
import { openSqliteCatalog } from '../src/catalog/sqlite.ts'
import { NixeryError } from '../src/errors.ts'
import { createApp } from '../src/http/app.ts'
import { digestOf, hexOf } from '../src/image/digest.ts'
import { openGcsStore, type GcsOptions } from '../src/store/gcs.ts'
import { describeRemoteStore, type RemoteService } from '../src/store/remote-conformance.ts'
import { openS3Store, type S3Options } from '../src/store/s3.ts'
import type { BlobStore } from '../src/store/store.ts'
import { cephService } from './support/ceph-service.ts'
import { startCeph, type Ceph } from './support/ceph.ts'
import { gcsService } from './support/gcs-service.ts'
import { startGcs, type Gcs } from './support/gcs.ts'

let folder: string
let ceph: Ceph
let gcs: Gcs
const services: Record<string, RemoteService> = {}

before(async () => {
  await ensurePrograms(['ceph-mon', 'ceph-osd', 'radosgw', 'ceph'], () => {})
  folder = await mkdtemp(join(tmpdir(), 'nixery-stores-'))
  const inside = async (name: string) => {
    await mkdir(join(folder, name))
    return join(folder, name)
  }
  ceph = await startCeph(await inside('ceph'))
  gcs = await startGcs(await inside('gcs'))
  // Where Google's SDK looks for a key.
  process.env['GOOGLE_APPLICATION_CREDENTIALS'] = gcs.account.keyFile
  services['S3'] = cephService(ceph, s3Options)
  services['Google Cloud Storage'] = gcsService(gcs, gcsOptions)
})
after(async () => {
  await ceph?.stop()
  await gcs?.stop()
  await rm(folder, { recursive: true, force: true })
})

const s3Options = (bucket: string, options: Partial<S3Options> = {}): S3Options => ({
  bucket,
  endpoint: ceph.endpoint,
  region: 'us-east-1',
  credentials: ceph,
  pathStyle: true,
  linkExpiration: 300,
  spoolDirectory: join(folder, randomUUID()),
  timeout: 20,
  ...options,
})

const gcsOptions = (bucket: string, options: Partial<GcsOptions> = {}): GcsOptions => ({
  bucket,
  endpoint: gcs.endpoint,
  keyFile: gcs.account.keyFile,
  redirect: true,
  spoolDirectory: join(folder, randomUUID()),
  timeout: 20,
  longestDelay: 1,
  ...options,
})

const service = (name: string): RemoteService => {
  const found = services[name]
  if (!found) throw new Error(`not started: ${name}`)
  return found
}

/** The registry over a store, with a catalog that knows nothing yet. */
async function appOver(store: BlobStore): Promise<ReturnType<typeof createApp>> {
  const builder: Builder = { build: () => Promise.reject(new Error('nothing is built here')) }
  const blobs = createBlobs(store, await openSqliteCatalog(':memory:'))
  return createApp({ builder, blobs, store, platforms: [], listener: () => {} })
}

for (const name of ['S3', 'Google Cloud Storage']) {
  describeRemoteStore(`the store in ${name}`, () => service(name))
}

const mediaType = 'application/octet-stream'
const newBlob = (size: number) => {
  const bytes = randomBytes(size)
  return { bytes, digest: digestOf(bytes), blob: { digest: digestOf(bytes), size, mediaType } }
}

for (const name of ['S3', 'Google Cloud Storage']) {
  describe(`redirects to ${name}`, () => {
    const { bytes, digest, blob } = newBlob(100_000)
    const path = `/v2/some/image/blobs/${digest}`
    let store: BlobStore
    let app: ReturnType<typeof createApp>
    before(async () => {
      store = await service(name).open(await service(name).makeBucket())
      await store.putBytes(blob, bytes)
      app = await appOver(store)
    })

    it('send a GET to the bucket, for less long than the address works', async () => {
      const response = await app.request(path)
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

    it('give addresses that work for this blob only, and for five minutes', async () => {
      const location = new URL((await app.request(path)).headers.get('Location') ?? '')
      const query = Object.fromEntries(
        [...location.searchParams].map(([key, value]) => [key.replace(/^X-(Amz|Goog)-/, ''), value]),
      )
      assert.equal(query['Expires'], '300')
      for (const change of [
        (url: URL) => url.searchParams.set(`X-${name === 'S3' ? 'Amz' : 'Goog'}-Expires`, '3000'),
        (url: URL) => (url.pathname = url.pathname.replace(/.$/, (last) => (last === '0' ? '1' : '0'))),
        (url: URL) => (url.search = ''),
      ]) {
        const other = new URL(location)
        change(other)
        assert.equal((await fetch(other)).status, 403)
      }
    })

    it('leave HEAD here', async () => {
      const response = await app.request(path, { method: 'HEAD' })
      assert.equal(response.status, 200)
      assert.equal(response.headers.get('Content-Length'), String(bytes.length))
      assert.equal(response.headers.get('Docker-Content-Digest'), digest)
      assert.equal(response.headers.get('Location'), null)
    })

    it('are not given for what is not there', async () => {
      const response = await app.request(`/v2/x/blobs/${newBlob(1).digest}`)
      assert.equal(response.status, 404)
    })

    it('are not given when they are switched off', async () => {
      const plain = Object.fromEntries(Object.entries(store).filter(([key]) => key !== 'redirectUrl'))
      const other = await appOver(plain as BlobStore)
      const response = await other.request(path, { headers: { Range: 'bytes=1-' } })
      assert.equal(response.status, 206)
      assert.deepEqual(Buffer.from(await response.arrayBuffer()), bytes.subarray(1))
    })

    it('lead to what the original wrote, once it was hashed', async () => {
      const bucket = await service(name).makeBucket()
      const [good, bad] = [newBlob(3000), newBlob(3000)]
      await service(name).writeObject(bucket, `layers/${hexOf(good.digest)}`, mediaType, good.bytes)
      await service(name).writeObject(bucket, `layers/${hexOf(bad.digest)}`, mediaType, good.bytes)
      const other = await appOver(await service(name).open(bucket))
      assert.equal((await other.request(`/v2/x/blobs/${good.digest}`)).status, 307)
      assert.equal((await other.request(`/v2/x/blobs/${bad.digest}`)).status, 404)
    })

    it('turn into 503 when the bucket is gone', async () => {
      const bucket = await service(name).makeBucket()
      const other = await appOver(await service(name).open(bucket))
      await service(name).removeBucket(bucket)
      for (const method of ['GET', 'HEAD']) {
        const response = await other.request(path, { method })
        assert.equal(response.status, 503)
        assert.ok(response.headers.has('Retry-After'))
      }
    })
  })
}

describe('a bucket that cannot be used', () => {
  const rows: [what: string, open: () => Promise<BlobStore>, code: string, message: RegExp][] = [
    [
      'in S3 that is missing',
      () => openS3Store(s3Options('missing')),
      'CONFIG_INVALID',
      /there is no bucket "missing" at http/,
    ],
    [
      'in S3 with a wrong secret',
      async () => {
        const credentials = { ...ceph, secretAccessKey: 'wrong' }
        return openS3Store(s3Options(await service('S3').makeBucket(), { credentials }))
      },
      'CONFIG_INVALID',
      /refuses access/,
    ],
    [
      'in S3 with an address that is none',
      () => openS3Store(s3Options('x', { endpoint: 'storage:9000' })),
      'CONFIG_INVALID',
      /is not one: storage:9000/,
    ],
    [
      'in S3 with addresses that would work for too long',
      () => openS3Store(s3Options('x', { linkExpiration: 8 * 24 * 3600 })),
      'CONFIG_INVALID',
      /seven days/,
    ],
    [
      'in S3 that cannot be reached',
      () => openS3Store(s3Options('x', { endpoint: 'http://127.0.0.1:9' })),
      'STORE_UNAVAILABLE',
      /cannot be opened .* it cannot be reached, ECONNREFUSED/,
    ],
    [
      'at Google that is missing',
      () => openGcsStore(gcsOptions('missing')),
      'CONFIG_INVALID',
      /there is no bucket "missing" at http/,
    ],
    [
      'at Google that cannot be written',
      async () => {
        gcs.makeBucket('read-only', { withheld: ['storage.objects.create', 'storage.buckets.get'] })
        return openGcsStore(gcsOptions('read-only'))
      },
      'CONFIG_INVALID',
      /"read-only" refuses storage\.objects\.create$/,
    ],
    [
      'at Google that allows nothing',
      async () => {
        const objects = ['create', 'delete', 'get', 'list'].map((verb) => `storage.objects.${verb}`)
        gcs.makeBucket('closed', { withheld: [...objects, 'storage.buckets.get'] })
        return openGcsStore(gcsOptions('closed'))
      },
      'CONFIG_INVALID',
      /refuses access/,
    ],
    [
      'at Google with a key that is none',
      async () => {
        const keyFile = join(folder, 'no-key.json')
        await writeFile(keyFile, 'secret')
        return openGcsStore(gcsOptions('x', { keyFile }))
      },
      'CONFIG_INVALID',
      /no-key\.json is not a readable key file$/,
    ],
    [
      'at Google with a key that cannot sign',
      async () => {
        const keyFile = join(folder, 'user.json')
        const user = { type: 'authorized_user', client_id: 'a', client_secret: 'b', refresh_token: 'c' }
        await writeFile(keyFile, JSON.stringify(user))
        process.env['GOOGLE_APPLICATION_CREDENTIALS'] = keyFile
        return openGcsStore(gcsOptions('x', { keyFile }))
      },
      'CONFIG_INVALID',
      /user\.json cannot sign addresses/,
    ],
    [
      'at Google that cannot be reached',
      () => openGcsStore(gcsOptions('x', { endpoint: 'http://127.0.0.1:9' })),
      'STORE_UNAVAILABLE',
      /cannot be opened .* it cannot be reached, ECONNREFUSED/,
    ],
  ]
  for (const [what, open, code, message] of rows) {
    it(what, async () => {
      process.env['GOOGLE_APPLICATION_CREDENTIALS'] = gcs.account.keyFile
      await assert.rejects(open(), (error) => {
        assert.ok(error instanceof NixeryError)
        assert.equal(error.code, code, error.message)
        assert.match(error.message, message)
        assert.ok(error.hint)
        return true
      })
    })
  }
})

describe('a bucket at Google that is open to all', () => {
  it('needs no key', async () => {
    gcs.makeBucket('open', { isPublic: true, withheld: ['storage.buckets.get'] })
    const store = await openGcsStore(gcsOptions('open', { keyFile: undefined }))
    const { bytes, digest, blob } = newBlob(1000)
    await store.putBytes(blob, bytes)
    const address = await store.redirectUrl?.(digest)
    assert.equal(address, `${gcs.endpoint}/open/layers/${hexOf(digest)}`)
    assert.deepEqual(Buffer.from(await (await fetch(address)).arrayBuffer()), bytes)
  })
})

describe('Google', () => {
  it('has nothing to complain of', () => {
    assert.deepEqual(
      gcs.complaints.filter((complaint) => !complaint.startsWith('HEAD')),
      [],
    )
  })
})
