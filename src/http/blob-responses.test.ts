import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { digestOf } from '../image/digest.ts'
import { mediaTypes } from '../image/oci.ts'
import { codeOf, lasting, openTestRegistry, type TestResponse, type TestRegistry } from './testing.ts'

let registry: TestRegistry
before(async () => (registry = await openTestRegistry()))
after(() => registry.dispose())

const address = () => `/v2/some/name/blobs/${registry.blob.digest}`
const etag = () => `"${registry.blob.digest}"`
const size = 1_500_000

/** The parts of a multipart body, each with its `Content-Range`. */
function partsOf({ headers, body }: TestResponse): { range: string; bytes: Buffer }[] {
  const boundary = /^multipart\/byteranges; boundary=(?<boundary>\S+)$/.exec(headers['content-type'] ?? '')
  assert.ok(boundary?.groups)
  const text = body.toString('latin1')
  const pieces = text.split(`\r\n--${boundary.groups['boundary']}`)
  assert.equal(pieces.shift(), '')
  assert.equal(pieces.pop(), '--\r\n')
  return pieces.map((piece) => {
    const end = piece.indexOf('\r\n\r\n')
    assert.match(piece.slice(0, end), /^\r\nContent-Type: application\/octet-stream\r\n/)
    const range = /\r\nContent-Range: (?<range>[^\r]+)$/.exec(piece.slice(0, end))?.groups?.['range']
    return { range: range ?? '', bytes: Buffer.from(piece.slice(end + 4), 'latin1') }
  })
}

describe('a blob', () => {
  it('is sent whole, with the same headers for HEAD, and never with another encoding', async () => {
    for (const client of registry.clients) {
      for (const encoding of ['identity', 'zstd;q=1.0, gzip;q=0.8, deflate;q=0.5', '*']) {
        const headers = { 'Accept-Encoding': encoding }
        const answer = await client.fetch(address(), { headers })
        assert.equal(answer.status, 200)
        assert.equal(digestOf(answer.body), registry.blob.digest)
        const { 'docker-distribution-api-version': _, ...rest } = lasting(answer.headers)
        assert.deepEqual(rest, {
          'accept-ranges': 'bytes',
          'cache-control': 'public, max-age=31536000, immutable',
          'content-length': String(size),
          'content-type': 'application/octet-stream',
          'docker-content-digest': registry.blob.digest,
          etag: etag(),
        })
        const head = await client.fetch(address(), { method: 'HEAD', headers })
        assert.deepEqual(lasting(head.headers), lasting(answer.headers))
        assert.deepEqual([head.status, head.body.length], [200, 0])
      }
    }
  })

  const parts: [range: string, start: number, end: number][] = [
    ['bytes=0-9', 0, 10],
    ['bytes=10-', 10, size],
    ['bytes=-7', size - 7, size],
    [`bytes=-${size * 2}`, 0, size],
    [`bytes=1-${size * 2}`, 1, size],
    ['bytes=262140-262150', 262_140, 262_151],
    ['bytes=0-524287', 0, 524_288],
    ['bytes=5-9,7-20', 5, 21],
    [`bytes=3-4,${size}-`, 3, 5],
  ]
  for (const [range, start, end] of parts) {
    it(`is sent in part: ${range}`, async () => {
      for (const client of registry.clients) {
        const answer = await client.fetch(address(), { headers: { Range: range } })
        assert.equal(answer.status, 206)
        assert.equal(answer.headers['content-range'], `bytes ${start}-${end - 1}/${size}`)
        assert.equal(answer.headers['content-length'], String(end - start))
        assert.ok(answer.body.equals(registry.blob.bytes.subarray(start, end)))
      }
    })
  }

  it('is sent in several parts, in the requested order', async () => {
    const ranges = [
      [600_000, 1_200_000],
      [0, 1],
      [10, 300_000],
      [size - 5, size],
    ] as const
    const header = `bytes=${ranges.map(([start, end]) => `${start}-${end - 1}`).join(', ')}`
    for (const client of registry.clients) {
      const answer = await client.fetch(address(), { headers: { Range: header } })
      assert.equal(answer.status, 206)
      assert.equal(answer.headers['content-range'], undefined)
      assert.equal(answer.headers['content-length'], String(answer.body.length))
      const found = partsOf(answer)
      assert.deepEqual(
        found.map(({ range }) => range),
        ranges.map(([start, end]) => `bytes ${start}-${end - 1}/${size}`),
      )
      for (const [index, [start, end]] of ranges.entries()) {
        assert.ok(found[index]?.bytes.equals(registry.blob.bytes.subarray(start, end)))
      }
    }
  })

  it('reports its size for ranges beyond its end', async () => {
    for (const client of registry.clients) {
      for (const range of [`bytes=${size}-`, `bytes=${size}-${size + 9}`, 'bytes=-0']) {
        const answer = await client.fetch(address(), { headers: { Range: range } })
        assert.equal(answer.status, 416)
        assert.equal(answer.headers['content-range'], `bytes */${size}`)
        assert.equal(codeOf(answer), 'SIZE_INVALID')
      }
    }
  })

  const conditions: [headers: (tag: string) => Record<string, string>, status: number][] = [
    [(tag) => ({ 'If-None-Match': tag }), 304],
    [(tag) => ({ 'If-None-Match': `W/${tag}` }), 304],
    [(tag) => ({ 'If-None-Match': `"a,b" ,W/"c", ${tag}` }), 304],
    [(tag) => ({ 'If-None-Match': ` ${tag} , "x"` }), 304],
    [() => ({ 'If-None-Match': '*' }), 304],
    [() => ({ 'If-None-Match': '"other"' }), 200],
    [() => ({ 'If-None-Match': '"*"' }), 200],
    [() => ({ 'If-None-Match': '' }), 200],
    [() => ({ 'If-None-Match': '",,' }), 200],
    [(tag) => ({ 'If-None-Match': tag.replaceAll('"', '') }), 200],
    [(tag) => ({ 'If-None-Match': tag.slice(0, -1) }), 200],
    [(tag) => ({ 'If-None-Match': `"x${tag}` }), 200],
    [(tag) => ({ 'If-None-Match': tag, Range: 'bytes=0-1' }), 304],
    [(tag) => ({ 'If-None-Match': tag, 'If-Match': tag }), 304],
    [(tag) => ({ 'If-Match': tag }), 200],
    [() => ({ 'If-Match': '*' }), 200],
    [(tag) => ({ 'If-Match': `"x", ${tag}` }), 200],
    [() => ({ 'If-Match': '"x"' }), 412],
    [(tag) => ({ 'If-Match': `W/${tag}` }), 412],
    [(tag) => ({ 'If-Match': '"x"', 'If-None-Match': tag }), 412],
    [() => ({ 'If-Modified-Since': 'Fri, 01 Jan 2100 00:00:00 GMT' }), 200],
    [() => ({ 'If-Unmodified-Since': 'Thu, 01 Jan 1970 00:00:00 GMT' }), 200],
    [(tag) => ({ Range: 'bytes=0-1', 'If-Range': tag }), 206],
    [(tag) => ({ Range: 'bytes=0-1', 'If-Range': `W/${tag}` }), 200],
    [() => ({ Range: 'bytes=0-1', 'If-Range': '"other"' }), 200],
    [() => ({ Range: 'bytes=0-1', 'If-Range': 'Thu, 01 Jan 1970 00:00:00 GMT' }), 200],
    [() => ({ Range: `bytes=${size}-`, 'If-Range': '"other"' }), 200],
  ]
  for (const [headersFor, status] of conditions) {
    it(`answers ${status} to ${JSON.stringify(headersFor('"TAG"'))}`, async () => {
      const headers = headersFor(etag())
      for (const client of registry.clients) {
        const answer = await client.fetch(address(), { headers })
        assert.equal(answer.status, status)
        if (status === 412) assert.equal(codeOf(answer), 'DIGEST_INVALID')
        if (status !== 304) continue
        assert.equal(answer.body.length, 0)
        assert.equal(answer.headers['etag'], etag())
        assert.match(answer.headers['cache-control'] ?? '', /immutable/)
        const head = await client.fetch(address(), { headers, method: 'HEAD' })
        assert.deepEqual(lasting(head.headers), lasting(answer.headers))
      }
    })
  }

  it('ignores ranges for HEAD', async () => {
    for (const client of registry.clients) {
      const head = await client.fetch(address(), { method: 'HEAD', headers: { Range: 'bytes=0-9' } })
      assert.deepEqual([head.status, head.headers['content-length']], [200, String(size)])
    }
  })

  it('without bytes is sent, and has no ranges', async () => {
    const bytes = Buffer.alloc(0)
    const digest = digestOf(bytes)
    await registry.blobs.publish({ digest, size: 0, mediaType: 'x/y' }, { bytes })
    for (const client of registry.clients) {
      for (const [range, status] of [
        ['', 200],
        ['bytes=-5', 200],
        ['bytes=0-', 416],
      ] as const) {
        const answer = await client.fetch(`/v2/x/blobs/${digest}`, { headers: { Range: range } })
        assert.equal(answer.status, status)
        if (status === 200) assert.deepEqual([answer.headers['content-length'], answer.body.length], ['0', 0])
      }
    }
  })
})

describe('a manifest', () => {
  it('is not sent again to clients that have it, by name or by digest', async () => {
    const { digest } = registry.image.manifests.oci
    for (const client of registry.clients) {
      for (const reference of ['latest', digest]) {
        const headers = { Accept: mediaTypes.oci.manifest, 'If-None-Match': `W/"${digest}"` }
        const answer = await client.fetch(`/v2/hello/manifests/${reference}`, { headers })
        assert.deepEqual([answer.status, answer.body.length], [304, 0])
        assert.equal(answer.headers['etag'], `"${digest}"`)
        assert.equal(answer.headers['vary'], reference === 'latest' ? 'Accept' : undefined)
        // The other format is a different entity.
        const other = { ...headers, Accept: mediaTypes.docker.manifest }
        const again = await client.fetch(`/v2/hello/manifests/${reference}`, { headers: other })
        assert.equal(again.status, reference === 'latest' ? 200 : 304)
      }
    }
  })
})
