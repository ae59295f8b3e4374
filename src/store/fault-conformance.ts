import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { buffer } from 'node:stream/consumers'
import { after, before, beforeEach, describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import type { BlobStore } from './store.ts'
import {
  blobOf,
  failsWith,
  spooled,
  startFaultyProxy,
  type Fault,
  type FaultyProxy,
  type RemoteService,
} from './testing.ts'

const small = 3_000
const large = 20_000_000
const megabyte = 1_000_000

/** Tests a bucket store while the network or the service fails. */
export function describeOverUnreliableNetwork(name: string, get: () => RemoteService): void {
  describe(`${name}, over an unreliable network`, () => {
    let service: RemoteService
    let proxy: FaultyProxy
    let bucket: string
    // Its attempts may take long together: clients wait between them, and the machine may be busy.
    let store: BlobStore
    let impatient: BlobStore
    const timeout = 3 // seconds
    before(async () => {
      service = get()
      proxy = await startFaultyProxy(service.endpoint)
      bucket = await service.makeBucket()
      store = await service.open(bucket, { endpoint: proxy.endpoint, timeout: 60 })
      impatient = await service.open(bucket, { endpoint: proxy.endpoint, timeout })
    })
    beforeEach(() => proxy.heal())
    after(() => proxy.stop())

    const put = async (bytes: Uint8Array, to = store) => to.putFile(blobOf(bytes), await spooled(to, bytes))

    const transient: [what: string, fault: Fault, sizes: number[]][] = [
      ['that responds with 503 twice', { kind: 'status', status: 503, times: 2 }, [small, large]],
      ['that responds with 429 twice', { kind: 'status', status: 429, times: 2 }, [small]],
      ['that breaks during an upload', { kind: 'cut upload', after: megabyte, times: 1 }, [5_000_000, large]],
    ]
    for (const [what, fault, sizes] of transient) {
      for (const size of sizes) {
        it(`stores ${size} bytes over a connection ${what}`, async () => {
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
      it(`resumes a read after the fault: ${fault.kind}`, async () => {
        const bytes = randomBytes(5_000_000)
        await put(bytes)
        proxy.fail(fault)
        const reader = fault.kind === 'stall download' ? impatient : store
        assert.deepEqual(await buffer(await reader.read(digestOf(bytes))), bytes)
        if (reader === impatient) return // slow
        proxy.fail(fault)
        const part = await store.read(digestOf(bytes), { start: 7, end: 4_999_990 })
        assert.deepEqual(await buffer(part), bytes.subarray(7, 4_999_990))
      })
    }

    for (const size of [5_000_000, large]) {
      it(`stores no incomplete blob of ${size} bytes`, async () => {
        const bytes = randomBytes(size)
        proxy.fail({ kind: 'cut upload', after: megabyte, times: Infinity })
        await failsWith('STORE_UNAVAILABLE', put(bytes))
        proxy.heal()
        assert.equal(await store.stat(digestOf(bytes)), undefined)
        assert.deepEqual(await readdir(store.spoolDirectory), [])
        assert.equal(await service.unfinished(bucket), 0)
        await put(bytes)
        assert.equal(await store.stat(digestOf(bytes)), size)
      })
    }

    it('does not upload an existing blob again', async () => {
      const bytes = randomBytes(megabyte)
      await put(bytes)
      const uploaded = proxy.uploaded
      await put(bytes)
      assert.ok(proxy.uploaded - uploaded < 10_000)
    })

    it('gives up when the service does not respond', async () => {
      const bytes = randomBytes(small)
      proxy.fail({ kind: 'silence', times: Infinity })
      const started = performance.now()
      const works = [
        impatient.stat(digestOf(bytes)),
        impatient.read(digestOf(bytes)),
        put(bytes, impatient),
        impatient.delete(digestOf(bytes)),
      ]
      await Promise.all(works.map((work) => failsWith('STORE_UNAVAILABLE', work)))
      assert.ok(performance.now() - started < 5 * timeout * 1000) // four one after another, each tried again, would take longer
    })
  })
}
