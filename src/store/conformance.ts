import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { byText } from '../image/store-path.ts'
import type { Blob, BlobStore } from './store.ts'

/** The tests that every `BlobStore` must pass. `open` returns a new empty store. */
export function describeBlobStore(name: string, open: () => Promise<BlobStore>): void {
  const blobOf = (bytes: Uint8Array): Blob => ({
    digest: digestOf(bytes),
    size: bytes.length,
    mediaType: 'application/octet-stream',
  })
  const spool = async (store: BlobStore, bytes: Uint8Array) => {
    const file = join(store.spoolDirectory, randomUUID())
    await writeFile(file, bytes)
    return file
  }

  describe(`${name} as a blob store`, () => {
    it('returns blobs that were stored as bytes and as files', async () => {
      const store = await open()
      for (const size of [0, 1, 70_000, 3_000_000]) {
        const bytes = randomBytes(size)
        const other = randomBytes(size + 1)
        await store.putBytes(blobOf(bytes), bytes)
        await store.putFile(blobOf(other), await spool(store, other))
        for (const put of [bytes, other]) {
          assert.equal(await store.stat(digestOf(put)), put.length)
          assert.deepEqual(await buffer(await store.read(digestOf(put))), put)
        }
      }
    })

    it('reads ranges with an exclusive end', async () => {
      const store = await open()
      const bytes = randomBytes(2_500_000)
      await store.putBytes(blobOf(bytes), bytes)
      for (const [start, end] of [
        [0, 1],
        [5, 5_000],
        [1_048_575, 1_048_577],
        [2_499_999, 2_500_000],
      ] as const) {
        const read = await buffer(await store.read(digestOf(bytes), { start, end }))
        assert.deepEqual(read, bytes.subarray(start, end))
      }
    })

    it('reports a missing blob', async () => {
      const store = await open()
      const digest = digestOf('nothing')
      assert.equal(await store.stat(digest), undefined)
      await assert.rejects(
        store.read(digest).then((stream) => buffer(stream)),
        (error) => hasCode(error, 'BLOB_UNKNOWN'),
      )
    })

    it('stores the same blob several times concurrently', async () => {
      const store = await open()
      const bytes = randomBytes(100_000)
      await Promise.all([1, 2, 3].map(async () => store.putFile(blobOf(bytes), await spool(store, bytes))))
      assert.deepEqual(await buffer(await store.read(digestOf(bytes))), bytes)
    })

    it('stores a blob again after it was removed', async () => {
      const store = await open()
      const bytes = randomBytes(1000)
      await store.putBytes(blobOf(bytes), bytes)
      await store.delete(digestOf(bytes))
      await store.delete(digestOf(bytes))
      assert.equal(await store.stat(digestOf(bytes)), undefined)
      await store.putBytes(blobOf(bytes), bytes)
      assert.equal(await store.stat(digestOf(bytes)), 1000)
    })

    it('lists its blobs with their times', async () => {
      const store = await open()
      const list = async () => {
        const blobs = []
        for await (const blob of store.list()) blobs.push(blob)
        return blobs.sort((a, b) => byText(a.digest, b.digest))
      }
      assert.deepEqual(await list(), [])
      const start = Date.now() / 1000
      const sizes = new Map(
        [0, 10, 70_000].map((size) => randomBytes(size)).map((bytes) => [digestOf(bytes), bytes]),
      )
      for (const bytes of sizes.values()) await store.putBytes(blobOf(bytes), bytes)
      const listed = await list()
      assert.deepEqual(
        listed.map(({ digest, size }) => [digest, size]),
        [...sizes].map(([digest, { length }]) => [digest, length] as const).sort(([a], [b]) => byText(a, b)),
      )
      // Services round to seconds.
      for (const { modified } of listed) assert.ok(modified > start - 5 && modified < Date.now() / 1000 + 5)
      const [first] = listed
      assert.ok(first)
      await store.delete(first.digest)
      assert.deepEqual(await list(), listed.slice(1))
    })

    it('refuses an incomplete file, and leaves nothing behind', async () => {
      const store = await open()
      const bytes = randomBytes(1000)
      const file = await spool(store, bytes.subarray(0, 999))
      await assert.rejects(store.putFile(blobOf(bytes), file), (error) => hasCode(error, 'STORE_UNAVAILABLE'))
      assert.equal(await store.stat(digestOf(bytes)), undefined)
      assert.deepEqual(await readdir(store.spoolDirectory), [])
    })
  })
}
