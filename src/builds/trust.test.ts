import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { openSqliteCatalog } from '../catalog/sqlite.ts'
import { digestOf, type Digest } from '../image/digest.ts'
import { openFileStore } from '../store/fs.ts'
import { createHasher, type Hasher } from '../store/hasher.ts'
import type { BlobStore } from '../store/store.ts'
import { createTrust, type Trust } from './trust.ts'

let directory: string
let store: BlobStore
let real: Hasher
let hashed: number
let trust: Trust
let digest: Digest
let file: string
const bytes = randomBytes(3_000_000)
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-trust-'))
  store = await openFileStore(directory)
  real = createHasher(store)
})
after(async () => {
  await real.close()
  await rm(directory, { recursive: true })
})
beforeEach(async () => {
  digest = digestOf(bytes)
  file = store.file?.(digest) ?? ''
  await store.putBytes({ digest, size: bytes.length, mediaType: 'application/octet-stream' }, bytes)
  hashed = 0
  const hasher: Hasher = {
    ...real,
    hash(one) {
      hashed += 1
      return real.hash(one)
    },
  }
  trust = createTrust({ store, hasher }, 3600)
})
const flipped = () => {
  const changed = Buffer.from(bytes)
  changed[1_500_000] = (changed[1_500_000] ?? 0) ^ 1
  return changed
}

describe('trust in a file', () => {
  it('is hashed once for concurrent callers', async () => {
    assert.deepEqual(await Promise.all([1, 2, 3].map(() => trust.trust(digest))), [true, true, true])
    assert.equal(await trust.trust(digest), true)
    assert.equal(hashed, 1)
  })

  it('is trusted if this process stored it', async () => {
    await trust.vouch(digest)
    assert.equal(await trust.trust(digest), true)
    assert.equal(hashed, 0)
  })

  it('ends with any change, even of equal size and time', async () => {
    const changes: (() => Promise<void>)[] = [
      () => writeFile(file, flipped()),
      async () => {
        await writeFile(file, flipped())
        await utimes(file, 1, 1)
      },
      async () => {
        await writeFile(`${file}.new`, flipped())
        await utimes(`${file}.new`, 1, 1)
        await rename(`${file}.new`, file)
      },
      () => writeFile(file, bytes.subarray(1)),
      () => rm(file),
    ]
    for (const change of changes) {
      await writeFile(file, bytes)
      await utimes(file, 1, 1)
      assert.equal(await trust.trust(digest), true)
      await change()
      assert.equal(await trust.trust(digest), false)
      assert.equal(await trust.trust(digest), false)
    }
    await writeFile(file, bytes)
    assert.equal(await trust.trust(digest), true)
    assert.deepEqual(await readFile(file), bytes)
  })

  it('is valid in the next process', async () => {
    const catalog = await openSqliteCatalog(':memory:')
    await catalog.rememberBlob(digest, bytes.length)
    let count = 0
    const hasher: Hasher = {
      ...real,
      hash(one) {
        count += 1
        return real.hash(one)
      },
    }
    const open = (seconds = 3600) => createTrust({ store, hasher, catalog }, seconds)
    assert.equal(await open().trust(digest), true)
    assert.equal(await open().trust(digest), true)
    assert.equal(count, 1)
    const at = Math.floor(Date.now() / 1000) - 3601
    const [, mark] = JSON.parse((await catalog.blobMark(digest)) ?? '[]') as [number, string]
    await catalog.rememberBlobMark(digest, JSON.stringify([at, mark]))
    assert.equal(await open().trust(digest), true)
    assert.equal(count, 2)
    await writeFile(file, flipped())
    assert.equal(await open().trust(digest), false)
    await writeFile(file, bytes)
    const text = await open().vouch(digest)
    await catalog.rememberBlob(digest, bytes.length, text)
    assert.equal(await open().trust(digest), true)
    assert.equal(count, 3)
  })

  it('is given to blobs that are not files', async () => {
    const bucket: BlobStore = { ...store }
    delete bucket.file
    assert.equal(await createTrust({ store: bucket, hasher: real }, 3600).trust(digestOf('any')), true)
  })
})
