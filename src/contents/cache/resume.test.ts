import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Reply } from '../../popcount/testing.ts'
import { testTransports, textOf, trouble } from './transport-testing.ts'
import { CacheTrouble } from './trouble.ts'

const { serve, requests } = testTransports()
const body = '0123456789'.repeat(10_000)

describe('a large file over HTTP', () => {
  const part = (headers: IncomingHttpHeaders): Reply => {
    const start = Number(/^bytes=(\d+)-$/.exec(headers.range ?? '')?.[1] ?? NaN)
    const range = { 'Content-Range': `bytes ${start}-${body.length - 1}/${body.length}` }
    return { status: 206, headers: range, body: body.slice(start) }
  }

  it('resumes where the connection broke', async () => {
    const ranges: (string | undefined)[] = []
    const resumable = { 'Accept-Ranges': 'bytes', ETag: '"1"' }
    const http = await serve((_path, nth, headers) => {
      ranges.push(headers.range)
      if (nth === 1) return { body, headers: resumable, cut: true }
      assert.equal(headers['if-range'], '"1"')
      return { ...part(headers), cut: nth < 4 }
    })
    assert.equal(await textOf(http.bytes(http.url(), undefined)), body)
    assert.equal(ranges.length, 4)
    assert.deepEqual(
      ranges.map((range) => range === undefined),
      [true, false, false, false],
    )
  })

  it('is downloaded from the start if ranges are not supported', async () => {
    const http = await serve((_path, nth) => ({ body, cut: nth < 3 }))
    assert.equal(await textOf(http.bytes(http.url(), undefined)), body)
    const liar = await serve((_path, nth) => ({
      body,
      headers: { 'Accept-Ranges': 'bytes' },
      cut: nth < 3, // and all of it again, although a part was requested
    }))
    assert.equal(await textOf(liar.bytes(liar.url(), undefined)), body)
  })

  it('is downloaded from the start if it is encoded: ranges count encoded bytes', async () => {
    const noise = randomBytes(100_000).toString('latin1')
    const encoded = gzipSync(noise)
    const headers = { 'Accept-Ranges': 'bytes', 'Content-Encoding': 'gzip' }
    const ranges: (string | undefined)[] = []
    const http = await serve((_path, nth, { range }) => {
      ranges.push(range)
      return { body: encoded, headers, cut: nth === 1 }
    })
    assert.equal(await textOf(http.bytes(http.url(), undefined)), noise)
    assert.deepEqual(ranges, [undefined, undefined])
  })

  it('is refused if it continues elsewhere than requested', async () => {
    const http = await serve((_path, nth) => {
      if (nth === 1) return { body, headers: { 'Accept-Ranges': 'bytes' }, cut: true }
      return { status: 206, headers: { 'Content-Range': `bytes 0-${body.length - 1}/${body.length}` }, body }
    })
    await assert.rejects(textOf(http.bytes(http.url(), undefined)), trouble(/it responded with 206/))
  })

  it('is given up after 50 attempts, or 5 that bring almost nothing', async () => {
    for (const [each, attempts] of [
      [5000, 50],
      [4000, 5],
    ] as const) {
      const http = await serve((_path, _nth, { range }) => {
        const start = Number(/^bytes=(\d+)-$/.exec(range ?? '')?.[1] ?? 0)
        const parts = { 'Accept-Ranges': 'bytes', 'Content-Range': `bytes ${start}-999999/1000000` }
        return { status: start === 0 ? 200 : 206, headers: parts, body: 'x'.repeat(2 * each), cut: true }
      })
      await assert.rejects(textOf(http.bytes(http.url(), undefined)), CacheTrouble)
      assert.equal(requests().length, attempts)
    }
  })

  it('is requested again only after the time that the server demands', async () => {
    const times: number[] = []
    const http = await serve((_path, nth) => {
      times.push(performance.now())
      return nth === 1 ? { status: 503, headers: { 'Retry-After': '1' } } : { body }
    })
    assert.equal(await textOf(http.bytes(http.url(), undefined)), body)
    const [first = 0, second = 0] = times
    assert.ok(second - first > 950, `${second - first} ms`)
  })

  it('is aborted eventually', async () => {
    const http = await serve(() => ({ body, cut: true }))
    await assert.rejects(textOf(http.bytes(http.url(), undefined)), CacheTrouble)
    const gone = await serve(() => ({ status: 404 }))
    await assert.rejects(textOf(gone.bytes(gone.url(), undefined)), trouble(/does not exist/))
    assert.equal(requests().length, 1)
  })
})
