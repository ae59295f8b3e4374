import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Catalog } from '../catalog/catalog.ts'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { hasCode } from '../errors.ts'
import { type Digest, digestOf, hexOf } from '../image/digest.ts'
import { openFileStore } from '../store/fs.ts'
import type { BlobStore } from '../store/store.ts'
import { type Blobs, createBlobs } from './blobs.ts'

let directory: string
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-blobs-'))
})
after(() => rm(directory, { recursive: true }))

type Fixture = {
  readonly store: BlobStore
  readonly catalog: Catalog
  readonly blobs: Blobs
  /** The file of a blob in the store, for damaging it. */
  readonly fileOf: (digest: Digest) => string
}

async function withBlobs(use: (fixture: Fixture) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(directory, 'store-'))
  const store = await openFileStore(folder)
  const catalog = await openSqliteCatalog(':memory:')
  try {
    const fileOf = (digest: Digest) => join(folder, 'layers', hexOf(digest))
    await use({ store, catalog, blobs: createBlobs(store, catalog), fileOf })
  } finally {
    await catalog.close()
  }
}

const bytes = randomBytes(3_000_000)
const digest = digestOf(bytes)
const blob = { digest, size: bytes.length, mediaType: 'application/octet-stream' }
const layer = { digest, diffId: digestOf('x'), size: bytes.length, compression: 'gzip' } as const

/** The same size, other bytes. */
function damaged(): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(2_000_000) ^ 1, 2_000_000)
  return copy
}

describe('blobs', () => {
  it('are found when they were published, from bytes or a file, which is taken', () =>
    withBlobs(async ({ blobs, catalog, store }) => {
      const other = randomBytes(1000)
      const spooled = join(store.spoolDirectory, randomUUID())
      await writeFile(spooled, other)
      await blobs.publish(blob, { bytes })
      await blobs.publish({ ...blob, digest: digestOf(other), size: 1000 }, { file: spooled })
      assert.equal(await blobs.find(digest), bytes.length)
      assert.equal(await blobs.find(digestOf(other)), 1000)
      assert.equal(await catalog.blobSize(digestOf(other)), 1000)
      assert.deepEqual(await readdir(store.spoolDirectory), [])
    }))

  // What happened to the blob, and whether the catalog knew it before.
  const rows: [what: string, known: boolean, harm: (file: string) => Promise<void>][] = [
    ['is missing', true, (file) => rm(file)],
    ['is truncated', true, (file) => truncate(file, bytes.length - 1)],
    ['is empty', true, (file) => truncate(file, 0)],
    ['is too long', true, (file) => writeFile(file, 'x', { flag: 'a' })],
    ['is missing, and not known', false, (file) => rm(file)],
    ['is truncated, and not known', false, (file) => truncate(file, bytes.length - 1)],
    ['is empty, and not known', false, (file) => truncate(file, 0)],
    ['is damaged, and not known', false, (file) => writeFile(file, damaged())],
  ]
  for (const [what, known, harm] of rows) {
    it(`are not believed, and removed with the layers in them, when one ${what}`, () =>
      withBlobs(async ({ blobs, catalog, store, fileOf }) => {
        await store.putBytes(blob, bytes)
        await catalog.rememberLayer('layer', layer, [])
        if (known) await catalog.rememberBlob(digest, bytes.length)
        await harm(fileOf(digest))
        const gone = !existsSync(fileOf(digest))
        assert.equal(await blobs.find(digest), undefined)
        assert.equal(await blobs.find(digest), undefined)
        assert.ok(!existsSync(fileOf(digest)))
        assert.equal(await catalog.blobSize(digest), undefined)
        // Of a blob that neither knows there is nothing to forget.
        if (known || !gone) assert.equal(await catalog.layer('layer'), undefined)

        await blobs.publish(blob, { bytes })
        assert.equal(await blobs.find(digest), bytes.length)
      }))
  }

  it('are adopted when they are right, and the catalog does not know them', () =>
    withBlobs(async ({ blobs, catalog, store }) => {
      await store.putBytes(blob, bytes)
      const found = await Promise.all([1, 2, 3].map(() => blobs.find(digest)))
      assert.deepEqual(found, [bytes.length, bytes.length, bytes.length])
      assert.equal(await catalog.blobSize(digest), bytes.length)
    }))

  it('are not hashed again once they are known', () =>
    withBlobs(async ({ blobs, store, fileOf }) => {
      await store.putBytes(blob, bytes)
      assert.equal(await blobs.find(digest), bytes.length)
      await writeFile(fileOf(digest), damaged())
      assert.equal(await blobs.find(digest), bytes.length)
    }))

  it('are not there when nobody made them', () =>
    withBlobs(async ({ blobs }) => {
      assert.equal(await blobs.find(digest), undefined)
      assert.equal(await blobs.readSmall(digest, 1e9), undefined)
    }))
})

describe('a small blob', () => {
  it('is read', () =>
    withBlobs(async ({ blobs }) => {
      await blobs.publish(blob, { bytes })
      assert.deepEqual(await blobs.readSmall(digest, bytes.length), bytes)
    }))

  it('is refused when it is not small', () =>
    withBlobs(async ({ blobs }) => {
      await blobs.publish(blob, { bytes })
      const reading = blobs.readSmall(digest, bytes.length - 1)
      await assert.rejects(reading, (error) => hasCode(error, 'MANIFEST_UNKNOWN'))
      assert.equal(await blobs.find(digest), bytes.length)
    }))

  it('that is damaged is never given, known or not, but removed', () =>
    withBlobs(async ({ blobs, catalog, store, fileOf }) => {
      for (const known of [true, false]) {
        await blobs.publish(blob, { bytes })
        if (!known) await catalog.forgetBlob(digest)
        await writeFile(fileOf(digest), damaged())
        assert.equal(await blobs.readSmall(digest, bytes.length), undefined)
        assert.equal(await store.stat(digest), undefined)
        assert.equal(await catalog.blobSize(digest), undefined)
      }
    }))
})
