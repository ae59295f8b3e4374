import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { before, beforeEach, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { digester, digestOf, hexOf } from '../image/digest.ts'
import { describeBlobStore } from './conformance.ts'
import { describeOverUnreliableNetwork } from './fault-conformance.ts'
import { blobOf, failsWith, spooled, type RemoteService } from './testing.ts'

const small = 3_000
const large = 20_000_000

/** The tests that every bucket store must pass, besides those of all stores. */
export function describeRemoteStore(name: string, get: () => RemoteService): void {
  describeBlobStore(name, async () => get().open(await get().makeBucket()))

  describe(`${name}, with its service`, () => {
    let service: RemoteService
    let bucket: string
    before(() => {
      service = get()
    })
    beforeEach(async () => {
      bucket = await service.makeBucket()
    })

    it('names objects like the original, and sets their content types', async () => {
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

    it('serves objects that the original wrote', async () => {
      const store = await service.open(bucket)
      const bytes = randomBytes(small)
      await service.writeObject(bucket, `layers/${hexOf(digestOf(bytes))}`, 'text/plain', bytes)
      assert.equal(await store.stat(digestOf(bytes)), small)
      assert.deepEqual(await buffer(await store.read(digestOf(bytes))), bytes)
    })

    it('leaves the bucket empty when it is opened', async () => {
      await service.open(bucket)
      assert.deepEqual(await service.objects(bucket), [])
      assert.equal(await service.unfinished(bucket), 0)
    })

    it('transfers a large blob with little memory', async () => {
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

    it('refuses to open a bucket that is missing or unreachable', async () => {
      await failsWith('CONFIG_INVALID', service.open('nixery-no-such-bucket'))
      await failsWith(
        'STORE_UNAVAILABLE',
        service.open(bucket, { endpoint: 'http://127.0.0.1:9', timeout: 2 }),
      )
    })

    it('fails with STORE_UNAVAILABLE when its bucket is removed', async () => {
      const store = await service.open(bucket)
      const bytes = randomBytes(small)
      await store.putBytes(blobOf(bytes), bytes)
      await service.removeBucket(bucket)
      await failsWith('STORE_UNAVAILABLE', store.stat(digestOf(bytes)))
      await failsWith('STORE_UNAVAILABLE', store.putBytes(blobOf(bytes), bytes))
    })
  })

  describeOverUnreliableNetwork(name, get)
}

/** Measures by how many bytes the memory of buffers grows at most, until the returned function is called. */
function peakMemory(): () => number {
  setFlagsFromString('--expose-gc')
  const collectGarbage = runInNewContext('gc') as () => void
  collectGarbage()
  const { arrayBuffers: first } = process.memoryUsage()
  let most = 0
  const stop = new AbortController()
  const watch = async () => {
    while (!stop.signal.aborted) {
      collectGarbage()
      await delay(20) // another thread frees the memory
      most = Math.max(most, process.memoryUsage().arrayBuffers - first)
      await delay(100)
    }
  }
  void watch()
  return () => {
    stop.abort()
    return most
  }
}
