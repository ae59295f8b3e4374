import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { beforeEach, describe, it } from 'node:test'
import type { Catalog } from '../catalog/catalog.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import type { BlobStore } from '../store/store.ts'
import { createBlobs, type Blobs } from './blobs.ts'
import { createHasher } from '../store/hasher.ts'
import { until } from '../../test/support/until.ts'

describe('a blob that the catalog does not know', () => {
  const bytes = randomBytes(10_000)
  const digest = digestOf(bytes)
  let catalog: Catalog
  let blobs: Blobs
  let reads: number
  /** The recorded `digest` and the bytes returned when it is read. */
  let stored: Buffer | undefined
  let read: () => Readable

  beforeEach(async () => {
    reads = 0
    stored = bytes
    read = () => Readable.from([stored])
    const missing = () => new NixeryError('BLOB_UNKNOWN', 'no such blob')
    const store: BlobStore = {
      spoolDirectory: '/nowhere',
      stat: (wanted: Digest) => Promise.resolve(wanted === digest ? stored?.length : undefined),
      async read() {
        reads += 1
        if (!stored) throw missing()
        return read()
      },
      putFile: () => Promise.reject(new Error('not here')),
      putBytes: () => Promise.reject(new Error('not here')),
      async delete() {
        stored = undefined
      },
      list: () => assert.fail('not here'),
    }
    catalog = await openSqliteCatalog(':memory:')
    blobs = createBlobs({ store, catalog, hasher: createHasher(store), smallTtl: 20 })
  })

  it('is hashed once for concurrent callers, and then trusted', async () => {
    const found = await Promise.all([1, 2, 3].map(() => blobs.find(digest)))
    assert.deepEqual(found, [10_000, 10_000, 10_000])
    assert.equal(await blobs.find(digest), 10_000)
    assert.equal(reads, 1)
  })

  it('is removed if its bytes have changed', async () => {
    stored = randomBytes(10_000)
    assert.equal(await blobs.find(digest), undefined)
    assert.equal(stored, undefined)
  })

  it('is kept if it cannot be read completely', async () => {
    const broken: (() => Readable)[] = [
      () => Readable.from([bytes.subarray(0, 9_999)]),
      () => new Readable({ read: (): void => void 0 }).destroy(new Error('broken on purpose')),
    ]
    for (const way of broken) {
      read = way
      await assert.rejects(blobs.find(digest))
      assert.equal(stored, bytes)
      assert.equal(await catalog.blobSize(digest), undefined)
    }
    read = () => Readable.from([bytes.subarray(1)])
    await assert.rejects(blobs.find(digest), (error) => hasCode(error, 'STORE_UNAVAILABLE'))
  })

  it('is missing if it is removed in the meantime', async () => {
    read = () => {
      throw new NixeryError('BLOB_UNKNOWN', 'no such blob')
    }
    assert.equal(await blobs.find(digest), undefined)
  })

  it('is used as it was read before while the store is away', async () => {
    const good = await blobs.readSmall(digest, 20_000)
    assert.deepEqual(good, bytes)
    const isDue = () => until(() => blobs.smallInMemory(digest) === undefined)
    read = () => {
      throw new NixeryError('STORE_UNAVAILABLE', 'away')
    }
    await isDue()
    assert.equal(await blobs.readSmall(digest, 20_000), good)
    read = () => Readable.from([stored])
    stored = undefined
    await isDue()
    assert.equal(await blobs.readSmall(digest, 20_000), undefined, 'it is gone')
  })
})
