import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setImmediate, setTimeout as delay } from 'node:timers/promises'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { hasCode } from '../errors.ts'
import { bucketCheck, importOptional, readObject, within, type OpenRange } from './remote.ts'
import { until } from '../../test/support/until.ts'

describe('reading an object', () => {
  const object = randomBytes(2_000)

  /** A service that sends at most this many bytes for each request, and then breaks or ends the stream. */
  const broken = (lengths: readonly number[], ending: 'break' | 'end') => {
    const streams: Readable[] = []
    const open: OpenRange = async (start, end = object.length) => {
      const length = lengths[streams.length] ?? object.length
      const bytes = object.subarray(start, Math.min(end, start + length))
      const stream = Readable.from(chunks(bytes, start + bytes.length < end && ending === 'break'))
      streams.push(stream)
      return { stream, size: end - start }
    }
    return { open, streams }
  }
  async function* chunks(bytes: Buffer, breaks: boolean): AsyncGenerator<Buffer> {
    for (let at = 0; at < bytes.length; at += 100) yield bytes.subarray(at, at + 100)
    if (breaks) throw new Error('broken on purpose')
  }

  it('returns every byte once, wherever the connection breaks', async () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 1_500 }), { maxLength: 2 })
    const range = fc
      .tuple(fc.nat({ max: 999 }), fc.integer({ min: 1_000, max: 2_000 }))
      .map(([start, end]) => ({ start, end }))
    await fc.assert(
      fc.asyncProperty(
        lengths,
        fc.option(range, { nil: undefined }),
        fc.constantFrom('break', 'end'),
        async (given, part, ending) => {
          const { open } = broken(given, ending)
          const read = await buffer(await readObject(open, part, 1))
          assert.deepEqual(read, object.subarray(part?.start, part?.end))
        },
      ),
      { numRuns: 10 },
    )
  })

  it('resumes when the connection breaks before the first read', async () => {
    const { open, streams } = broken([], 'break')
    const stream = await readObject(open, undefined, 1)
    streams[0]?.destroy(new Error('broken on purpose'))
    await setImmediate() // an unhandled error would end the process here
    assert.deepEqual(await buffer(stream), object)
  })

  it('ignores errors of streams that are never read or arrive too late', async () => {
    const { open, streams } = broken([], 'break')
    const unread = await readObject(open, undefined, 1)
    streams[0]?.destroy(new Error('broken on purpose'))
    unread.destroy()
    const late = new Readable({ read() {} })
    const response = Promise.withResolvers<{ stream: Readable; size: number }>()
    const reading = readObject(() => response.promise, undefined, 0.001)
    await assert.rejects(reading, (error) => hasCode(error, 'STORE_UNAVAILABLE'))
    response.resolve({ stream: late, size: 1 })
    await setImmediate()
    assert.equal(late.destroyed, true)
    late.emit('error', new Error('broken on purpose'))
  })

  it('gives up when no more bytes arrive', async () => {
    const { open, streams } = broken([500, 0, 0, 0, 0, 0], 'break')
    const stream = await readObject(open, undefined, 1)
    await assert.rejects(buffer(stream), (error) => hasCode(error, 'STORE_UNAVAILABLE'))
    assert.ok(streams.every(({ destroyed }) => destroyed))
  })

  it('refuses an object that is longer than its size', async () => {
    const open: OpenRange = async () => ({ stream: Readable.from([object]), size: 1_999 })
    await assert.rejects(buffer(await readObject(open, undefined, 1)), (error) =>
      hasCode(error, 'STORE_UNAVAILABLE'),
    )
  })

  it('closes the connection when the reader disconnects, before or after the first byte', async () => {
    for (const reads of [0, 1]) {
      const { open, streams } = broken([], 'end')
      const stream = await readObject(open, undefined, 1)
      if (reads > 0) await stream[Symbol.asyncIterator]().next()
      stream.destroy()
      await until(() => streams[0]?.destroyed === true, 'the connection is closed')
    }
  })

  it('does not count the time of the reader', async () => {
    const { open, streams } = broken([], 'end')
    const stream = await readObject(open, undefined, 0.3)
    await delay(500)
    assert.deepEqual(await buffer(stream), object)
    assert.equal(streams.length, 1)
  })
})

describe('a time limit', () => {
  it('rejects and aborts work that takes longer', async () => {
    let aborted = false
    const work = within(0.02, (signal) => {
      signal.addEventListener('abort', () => (aborted = true))
      return delay(10_000, undefined, { ref: false })
    })
    await assert.rejects(work, { name: 'TimeoutError' })
    assert.ok(aborted)
  })
})

describe('the check of a bucket', () => {
  it('is shared by concurrent callers, and repeated for later ones', async () => {
    let checks = 0
    const check = bucketCheck(() => Promise.resolve((checks += 1)))
    await Promise.all([check(), check(), check()])
    assert.equal(checks, 1)
    await check()
    assert.equal(checks, 2)
  })
})

describe('a package that is not installed', () => {
  it('is named in the error', async () => {
    const name = 'no-such-package'
    await assert.rejects(
      importOptional(() => import(name) as Promise<unknown>, name, 'this test'),
      (error) => {
        assert.ok(hasCode(error, 'CONFIG_INVALID'))
        assert.match(error.message, /^this test needs the npm packages no-such-package$/)
        return true
      },
    )
  })
})
