import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { NixeryError } from '../src/errors.ts'
import { digestOf } from '../src/image/digest.ts'
import { openGcsStore } from '../src/store/gcs.ts'
import { openS3Store } from '../src/store/s3.ts'
import type { BlobStore } from '../src/store/store.ts'
import { startBuckets, type Buckets } from './support/buckets.ts'

let buckets: Buckets
before(async () => {
  buckets = await startBuckets()
})
after(() => buckets?.stop())

describe('a bucket that cannot be used', () => {
  const rows: [what: string, open: () => Promise<BlobStore>, code: string, message: RegExp][] = [
    [
      'in S3 that is missing',
      () => openS3Store(buckets.s3Options('missing')),
      'CONFIG_INVALID',
      /there is no bucket "missing" at http/,
    ],
    [
      'in S3 with a wrong secret',
      async () => {
        const credentials = { ...buckets.ceph, secretAccessKey: 'wrong' }
        return openS3Store(buckets.s3Options(await buckets.services.S3.makeBucket(), { credentials }))
      },
      'CONFIG_INVALID',
      /was denied/,
    ],
    [
      'in S3 with an invalid URL',
      () => openS3Store(buckets.s3Options('x', { endpoint: 'storage:9000' })),
      'CONFIG_INVALID',
      /S3_ENDPOINT is not a valid URL: storage:9000/,
    ],
    [
      'in S3 with links that would be valid for too long',
      () => openS3Store(buckets.s3Options('x', { linkExpiration: 8 * 24 * 3600 })),
      'CONFIG_INVALID',
      /seven days/,
    ],
    [
      'in S3 that cannot be reached',
      () => openS3Store(buckets.s3Options('x', { endpoint: 'http://127.0.0.1:9' })),
      'STORE_UNAVAILABLE',
      /cannot open .* the service is unreachable, ECONNREFUSED/,
    ],
    [
      'at Google that is missing',
      () => openGcsStore(buckets.gcsOptions('missing')),
      'CONFIG_INVALID',
      /there is no bucket "missing" at http/,
    ],
    [
      'at Google that is not writable',
      async () => {
        buckets.gcs.makeBucket('read-only', { withheld: ['storage.objects.create', 'storage.buckets.get'] })
        return openGcsStore(buckets.gcsOptions('read-only'))
      },
      'CONFIG_INVALID',
      /"read-only" refuses storage\.objects\.create$/,
    ],
    [
      'at Google without any permission',
      async () => {
        const objects = ['create', 'delete', 'get', 'list'].map((verb) => `storage.objects.${verb}`)
        buckets.gcs.makeBucket('closed', { withheld: [...objects, 'storage.buckets.get'] })
        return openGcsStore(buckets.gcsOptions('closed'))
      },
      'CONFIG_INVALID',
      /was denied/,
    ],
    [
      'at Google with an invalid key file',
      async () => {
        const keyFile = join(buckets.folder, 'no-key.json')
        await writeFile(keyFile, 'secret')
        return openGcsStore(buckets.gcsOptions('x', { keyFile }))
      },
      'CONFIG_INVALID',
      /no-key\.json is not a readable key file$/,
    ],
    [
      'at Google with a key that cannot sign',
      async () => {
        const keyFile = join(buckets.folder, 'user.json')
        const user = { type: 'authorized_user', client_id: 'a', client_secret: 'b', refresh_token: 'c' }
        await writeFile(keyFile, JSON.stringify(user))
        process.env['GOOGLE_APPLICATION_CREDENTIALS'] = keyFile
        return openGcsStore(buckets.gcsOptions('x', { keyFile }))
      },
      'CONFIG_INVALID',
      /user\.json cannot sign URLs/,
    ],
    [
      'at Google that cannot be reached',
      () => openGcsStore(buckets.gcsOptions('x', { endpoint: 'http://127.0.0.1:9' })),
      'STORE_UNAVAILABLE',
      /cannot open .* the service is unreachable, ECONNREFUSED/,
    ],
  ]
  for (const [what, open, code, message] of rows) {
    it(what, async () => {
      process.env['GOOGLE_APPLICATION_CREDENTIALS'] = buckets.gcs.account.keyFile
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

describe('a bucket in S3', () => {
  it('returns valid links although the clock is an hour behind or ahead', async (t) => {
    const bytes = Buffer.from('some bytes')
    const blob = { digest: digestOf(bytes), size: bytes.length, mediaType: 'text/plain' }
    const store = await buckets.services.S3.open(await buckets.services.S3.makeBucket())
    for (const hours of [-1, 1]) {
      t.mock.timers.enable({ apis: ['Date'], now: Date.now() + hours * 3_600_000 })
      await store.putBytes(blob, bytes)
      const response = await fetch((await store.redirectUrl?.(blob.digest)) ?? '')
      assert.deepEqual([response.status, await response.text()], [200, 'some bytes'])
      t.mock.timers.reset()
    }
  })
})
