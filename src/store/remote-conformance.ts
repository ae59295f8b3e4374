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
import { describeOverBadLine } from './fault-conformance.ts'
import { blobOf, failsWith, spooled, type RemoteService } from './testing.ts'

const small = 3_000
const large = 20_000_000

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

  describeOverBadLine(name, get)
}

/** Watches, from now until it is called, the most bytes that buffers in use take more than they do now. */
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
      await delay(20) // what is garbage is given back by another thread
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
