import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { execa } from 'execa'
import { hasCode, systemErrorCode } from '../errors.ts'
import { digestOf } from '../image/digest.ts'
import { describeBlobStore } from './conformance.ts'
import { openFileStore } from './fs.ts'
import type { BlobStore } from './store.ts'

// Mounting needs root.
let directory: string
const mounted: string[] = []
before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'nixery-disks-'))
})
after(async () => {
  for (const path of mounted) await execa('umount', ['--lazy', path])
  await rm(directory, { recursive: true })
})

/** Creates and mounts an ext4 file system of this size, for this number of files. */
async function mountDisk(name: string, megabytes: number, files: number): Promise<string> {
  const image = join(directory, `${name}.img`)
  const path = join(directory, name)
  const handle = await open(image, 'w')
  await handle.truncate(megabytes * 1_000_000)
  await handle.close()
  await mkdir(path)
  const args = ['-q', '-m', '0', '-N', String(files), image]
  await execa('mkfs.ext4', args, { env: { PATH: `${process.env['PATH']}:/usr/sbin:/sbin` } })
  await execa('mount', ['-o', 'loop', image, path])
  mounted.push(path)
  return path
}

const put = (store: BlobStore, bytes: Uint8Array) =>
  store.putBytes(
    { digest: digestOf(bytes), size: bytes.length, mediaType: 'application/octet-stream' },
    bytes,
  )

describe('the file store on a separate disk', () => {
  let disk: Promise<string> | undefined
  let count = 0
  describeBlobStore('the file store on ext4', async () => {
    disk ??= mountDisk('own', 100, 1000)
    return openFileStore(join(await disk, String((count += 1))))
  })
})

describe('the file store on a full disk', () => {
  it('fails with STORE_FULL, keeps its blobs, and accepts blobs that fit', async () => {
    const store = await openFileStore(await mountDisk('full', 8, 100))
    const [earlier, large, later] = [1_000_000, 9_000_000, 4_000_000].map((size) => randomBytes(size))
    assert.ok(earlier && large && later)
    await put(store, earlier)
    await assert.rejects(put(store, large), (error) => hasCode(error, 'STORE_FULL'))
    assert.deepEqual(await readdir(store.spoolDirectory), [])
    assert.equal(await store.stat(digestOf(large)), undefined)
    assert.deepEqual(await buffer(await store.read(digestOf(earlier))), earlier)
    await put(store, later)
    assert.deepEqual(await buffer(await store.read(digestOf(later))), later)
  })

  it('fails with STORE_FULL when the disk has no free inodes', async () => {
    const path = await mountDisk('files', 8, 16)
    const store = await openFileStore(path)
    for (let number = 0; ; number += 1) {
      const error: unknown = await writeFile(join(path, `file-${number}`), '').catch(
        (reason: unknown) => reason,
      )
      if (systemErrorCode(error) === 'ENOSPC') break
      assert.equal(error, undefined)
    }
    await assert.rejects(put(store, randomBytes(10)), (error) => hasCode(error, 'STORE_FULL'))
  })
})

describe('the file store on a disk that became read-only', () => {
  it('serves its blobs, refuses changes, and cannot be opened again', async () => {
    const path = await mountDisk('fixed', 8, 100)
    const store = await openFileStore(path)
    const bytes = randomBytes(1000)
    await put(store, bytes)
    await execa('mount', ['-o', 'remount,ro', path])
    assert.deepEqual(await buffer(await store.read(digestOf(bytes))), bytes)
    for (const work of [
      () => put(store, randomBytes(10)),
      () => store.delete(digestOf(bytes)),
      () => openFileStore(path),
    ]) {
      await assert.rejects(work(), (error) => hasCode(error, 'STORE_UNAVAILABLE'))
    }
  })
})
