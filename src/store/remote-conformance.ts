import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { after, before, beforeEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { hasCode, type ErrorCode } from '../errors.ts'
import { digester, digestOf, hexOf } from '../image/digest.ts'
import { describeBlobStore } from './conformance.ts'
import type { Blob, BlobStore } from './store.ts'
import { startFaultyProxy, type Fault, type FaultyProxy } from './testing.ts'

/** A service with buckets, as the suite sees it, and the store over it. */
export type RemoteService = {
  readonly endpoint: string
  makeBucket(): Promise<string>
  /** Removes a bucket with all that is in it. */
  removeBucket(bucket: string): Promise<void>
  objects(bucket: string): Promise<readonly { name: string; size: number; contentType: string }[]>
  writeObject(bucket: string, name: string, contentType: string, bytes: Uint8Array): Promise<void>
  /** Uploads in parts that were begun and are neither finished nor given up. */
  unfinished(bucket: string): Promise<number>
  /** Opens the store in a spool folder of its own, which must answer within `timeout` seconds. */
  open(bucket: string, options?: { endpoint?: string; timeout?: number }): Promise<BlobStore>
}

const small = 3_000
const large = 20_000_000
const megabyte = 1_000_000

const blobOf = (bytes: Uint8Array): Blob => ({
  digest: digestOf(bytes),
  size: bytes.length,
  mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
})
const failsWith = (code: ErrorCode, work: Promise<unknown>) =>
  assert.rejects(work, (error) => hasCode(error, code))

/** What every store in a bucket keeps, on good days and bad ones, besides what every store does. */
export function describeRemoteStore(name: string, get: () => RemoteService): void {
  describeBlobStore(name, async () => get().open(await get().makeBucket()))

  describe(`${name}, over a service`, () => {
    let service: RemoteService
    let bucket: string
    before(() => {
      service = get()
    })
    beforeEach(async () => {
      bucket = await service.makeBucket()
    })

    it('names objects as the original does, and says what they are', async () => {
      const store = await service.open(bucket)
      for (const size of [0, small, large]) {
        const bytes = randomBytes(size)
        await store.putFile(blobOf(bytes), await spooled(store, bytes))
        const object = (await service.objects(bucket)).find(({ name: key }) =>
          key.endsWith(hexOf(digestOf(bytes))),
        )
        const { mediaType } = blobOf(bytes)
        assert.deepEqual(
          { ...object },
          { name: `layers/${hexOf(digestOf(bytes))}`, size, contentType: mediaType },
        )
      }
    })

    it('serves what the original wrote', async () => {
      const store = await service.open(bucket)
      const bytes = randomBytes(small)
      await service.writeObject(bucket, `layers/${hexOf(digestOf(bytes))}`, 'text/plain', bytes)
      assert.equal(await store.stat(digestOf(bytes)), small)
      assert.deepEqual(await buffer(await store.read(digestOf(bytes))), bytes)
    })

    it('leaves nothing in the bucket when it is opened', async () => {
      await service.open(bucket)
      assert.deepEqual(await service.objects(bucket), [])
      assert.equal(await service.unfinished(bucket), 0)
    })

    it('passes a large blob on in little memory', async () => {
      const store = await service.open(bucket)
      const file = join(store.spoolDirectory, randomUUID())
      const size = 96 * 1024 * 1024
      const block = randomBytes(1024 * 1024)
      const hash = digester()
      for (let written = 0; written < size; written += block.length) {
        block.writeUInt32LE(written)
        hash.update(block)
        await writeFile(file, block, { flag: 'a' })
      }
      const digest = hash.digest()
      const memory = peakMemory()
      await store.putFile({ digest, size, mediaType: 'application/octet-stream' }, file)
      const read = digester()
      for await (const chunk of await store.read(digest)) read.update(chunk as Buffer)
      const peak = memory()

      assert.ok(peak < (size * 3) / 4, `${peak} bytes`)
      assert.equal(read.digest(), digest)
    })

    it('tells what is wrong with a bucket at once', async () => {
      await failsWith('CONFIG_INVALID', service.open('nixery-no-such-bucket'))
      await failsWith(
        'STORE_UNAVAILABLE',
        service.open(bucket, { endpoint: 'http://127.0.0.1:9', timeout: 2 }),
      )
    })

    it('is unavailable when its bucket is removed', async () => {
      const store = await service.open(bucket)
      const bytes = randomBytes(small)
      await store.putBytes(blobOf(bytes), bytes)
      await service.removeBucket(bucket)
      await failsWith('STORE_UNAVAILABLE', store.stat(digestOf(bytes)))
      await failsWith('STORE_UNAVAILABLE', store.putBytes(blobOf(bytes), bytes))
    })
  })

  describe(`${name}, over a bad line`, () => {
    let service: RemoteService
    let proxy: FaultyProxy
    let bucket: string
    let store: BlobStore
    const timeout = 3 // seconds
    before(async () => {
      service = get()
      proxy = await startFaultyProxy(service.endpoint)
      bucket = await service.makeBucket()
      store = await service.open(bucket, { endpoint: proxy.endpoint, timeout })
    })
    beforeEach(() => proxy.heal())
    after(() => proxy.stop())

    const put = async (bytes: Uint8Array) => store.putFile(blobOf(bytes), await spooled(store, bytes))

    const passing: [what: string, fault: Fault, sizes: number[]][] = [
      ['that refuses twice', { kind: 'status', status: 503, times: 2 }, [small, large]],
      ['that wants fewer requests', { kind: 'status', status: 429, times: 2 }, [small]],
      ['that breaks in an upload', { kind: 'cut upload', after: megabyte, times: 1 }, [5_000_000, large]],
    ]
    for (const [what, fault, sizes] of passing) {
      for (const size of sizes) {
        it(`stores ${size} bytes over one ${what}`, async () => {
          const bytes = randomBytes(size)
          proxy.fail(fault)
          await put(bytes)
          assert.deepEqual(await buffer(await store.read(digestOf(bytes))), bytes)
        })
      }
    }

    const resumed: Fault[] = [
      { kind: 'status', status: 503, times: 2 },
      { kind: 'cut download', after: megabyte, times: 3 },
      { kind: 'stall download', after: megabyte, times: 1 },
    ]
    for (const fault of resumed) {
      it(`reads on after ${fault.kind}`, async () => {
        const bytes = randomBytes(5_000_000)
        await put(bytes)
        proxy.fail(fault)
        assert.deepEqual(await buffer(await store.read(digestOf(bytes))), bytes)
        if (fault.kind === 'stall download') return // takes its time
        proxy.fail(fault)
        const part = await store.read(digestOf(bytes), { start: 7, end: 4_999_990 })
        assert.deepEqual(await buffer(part), bytes.subarray(7, 4_999_990))
      })
    }

    for (const size of [5_000_000, large]) {
      it(`makes no blob of ${size} bytes that never arrive whole`, async () => {
        const bytes = randomBytes(size)
        proxy.fail({ kind: 'cut upload', after: megabyte, times: Infinity })
        await failsWith('STORE_UNAVAILABLE', put(bytes))
        proxy.heal()
        assert.equal(await store.stat(digestOf(bytes)), undefined)
        assert.deepEqual(await readdir(store.spoolDirectory), [])
        await put(bytes)
        assert.equal(await store.stat(digestOf(bytes)), size)
      })
    }

    it('does not send again what is there', async () => {
      const bytes = randomBytes(megabyte)
      await put(bytes)
      const uploaded = proxy.uploaded
      await put(bytes)
      assert.ok(proxy.uploaded - uploaded < 10_000)
    })

    it('gives up a service that does not answer', async () => {
      const bytes = randomBytes(small)
      proxy.fail({ kind: 'silence', times: Infinity })
      const started = performance.now()
      const works = [
        store.stat(digestOf(bytes)),
        store.read(digestOf(bytes)),
        put(bytes),
        store.delete(digestOf(bytes)),
      ]
      await Promise.all(works.map((work) => failsWith('STORE_UNAVAILABLE', work)))
      assert.ok(performance.now() - started < 2 * timeout * 1000)
    })
  })
}

async function spooled(store: BlobStore, bytes: Uint8Array): Promise<string> {
  const file = join(store.spoolDirectory, randomUUID())
  await writeFile(file, bytes)
  return file
}

/** Watches, from now until it is called, the most bytes that buffers in use take more than they do now. */
function peakMemory(): () => number {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  collectGarbage()
  const { arrayBuffers: first } = process.memoryUsage()
  let most = 0
  let watching = true
  const watch = async () => {
    while (watching) {
      collectGarbage()
      await delay(20) // what is garbage is given back by another thread
      most = Math.max(most, process.memoryUsage().arrayBuffers - first)
      await delay(50)
    }
  }
  void watch()
  return () => {
    watching = false
    return most
  }
}
