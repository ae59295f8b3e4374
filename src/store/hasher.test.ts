import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { hasCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { openFileStore } from './fs.ts'
import { createHasher } from './hasher.ts'
import type { BlobStore } from './store.ts'

let directory: string
let store: BlobStore
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-hasher-'))
  store = await openFileStore(directory)
})
after(() => rm(directory, { recursive: true }))
const fileOf = (text: string) => store.file?.(digestOf(text)) ?? ''

describe('the hasher', () => {
  it('hashes several blobs concurrently, from files and from streams', async () => {
    const stream: BlobStore = { ...store }
    delete stream.file
    const contents = new Map([0, 1, 1_048_576, 2_500_000].map((size) => [`${size}`, randomBytes(size)]))
    for (const [text, bytes] of contents) await writeFile(fileOf(text), bytes)
    for (const each of [store, stream]) {
      const hasher = createHasher(each)
      const results = await Promise.all([...contents.keys()].map((text) => hasher.hash(digestOf(text))))
      assert.deepEqual(
        results,
        [...contents.values()].map((bytes) => ({ digest: digestOf(bytes), size: bytes.length })),
      )
      assert.equal(await hasher.hash(digestOf('none')), undefined)
      await hasher.close()
    }
  })

  it('reports a blob that cannot be read, and continues', async () => {
    await mkdir(fileOf('folder'))
    await writeFile(fileOf('file'), 'x')
    const hasher = createHasher(store, 1)
    await assert.rejects(hasher.hash(digestOf('folder')), (error) => hasCode(error, 'STORE_UNAVAILABLE'))
    assert.equal((await hasher.hash(digestOf('file')))?.size, 1)
    await hasher.close()
  })

  it('cancels its work when it is closed', async () => {
    await writeFile(fileOf('large'), Buffer.alloc(50_000_000))
    const hasher = createHasher(store)
    const running = [1, 2, 3].map(() => hasher.hash(digestOf('large')))
    const settled = Promise.allSettled(running)
    await hasher.close()
    for (const outcome of await settled) {
      assert.ok(outcome.status === 'rejected' && hasCode(outcome.reason, 'CANCELLED'))
    }
    await assert.rejects(hasher.hash(digestOf('large')), (error) => hasCode(error, 'CANCELLED'))
  })
})
