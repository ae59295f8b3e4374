import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { codeOf, openTestRegistry, type TestResponse, type TestRegistry } from './testing.ts'
import { NixeryError } from '../errors.ts'

let registry: TestRegistry
before(async () => {
  registry = await openTestRegistry()
})
after(() => registry.dispose())

/** The response to raw bytes. */
async function send(bytes: string): Promise<TestResponse> {
  const socket = connect(registry.port, '127.0.0.1')
  socket.end(Buffer.from(bytes, 'latin1'))
  const [head = '', body = ''] = (await text(socket)).split('\r\n\r\n')
  const [status = '', ...lines] = head.split('\r\n')
  const headers = lines
    .map((line) => line.split(': '))
    .map(([name = '', value = '']) => [name.toLowerCase(), value])
  return {
    status: Number(status.split(' ')[1]),
    headers: Object.fromEntries(headers) as Record<string, string>,
    body: Buffer.from(body),
  }
}

describe('a request that HTTP does not allow', () => {
  const rows: [sent: string, status: number][] = [
    ['GET /v2/ HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n', 400],
    ['GET /v2/ HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n', 400],
    ['GET /v2/ HTTP/1.1\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\n\r\n', 400],
    ['GET /v2/ HTTP/1.1\r\nHost: "><script>\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a b\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: [::1\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a/b\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: user@a\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a:b\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: \xe9\r\n\r\n', 400],
    ['GET /v2/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic YTpi\r\nauthorization: Basic YTpi\r\n\r\n', 400],
    ['OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['GET * HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['TRACE / HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['TRACE /v2/ HTTP/1.1\r\nHost: a\r\n\r\n', 405],
    ['GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['hello\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n', 400],
    [`GET / HTTP/1.1\r\nHost: a\r\nA: ${'a'.repeat(40_000)}\r\n\r\n`, 431],
  ]
  for (const [sent, status] of rows) {
    it(`is refused in the registry's format, with ${status}, and logged: ${JSON.stringify(sent.slice(0, 50))}`, async () => {
      const earlier = registry.accessLog.length
      const answer = await send(sent)
      assert.equal(answer.status, status)
      assert.equal(codeOf(answer), 'UNSUPPORTED')
      const { headers } = answer
      assert.equal(headers['docker-distribution-api-version'], 'registry/2.0')
      assert.ok(headers['date'])
      if (status === 405) assert.equal(headers['allow'], 'GET, HEAD')
      const [entry, ...more] = registry.accessLog.slice(earlier)
      assert.deepEqual(more, [])
      assert.equal(entry?.status, status)
      assert.equal(entry.id, headers['x-request-id'])
      assert.ok(entry.error instanceof NixeryError)
    })
  }
})

describe('a request that HTTP allows', () => {
  for (const sent of [
    'GET /v2/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    'GET /v2/ HTTP/1.0\r\n\r\n',
    'GET / HTTP/1.0\r\n\r\n',
    'GET /v2/ HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: [::1]:5000\r\nConnection: close\r\n\r\n',
    'GET / HTTP/1.1\r\nHost: a_b.example:\r\nConnection: close\r\n\r\n',
    'GET http://other.example HTTP/1.1\r\nHost: other.example\r\nConnection: close\r\n\r\n',
    'GET //other.example/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
  ]) {
    it(JSON.stringify(sent), async () => assert.equal((await send(sent)).status, 200))
  }
})

describe('a tag that the distribution spec does not allow', () => {
  for (const tag of ['.INVALID_MANIFEST_NAME', '-a', 'a'.repeat(129), '%20', '']) {
    it(`names no manifest: ${JSON.stringify(tag.slice(0, 30))}`, async () => {
      for (const client of registry.clients) {
        const answer = await client.fetch(`/v2/hello/manifests/${tag}`)
        assert.equal(answer.status, 404)
        assert.equal(codeOf(answer), 'MANIFEST_UNKNOWN')
      }
    })
  }

  it('is not reported if the name is invalid', async () => {
    const answer = await registry.clients[0].fetch('/v2/he!lo/manifests/.x')
    assert.equal(codeOf(answer), 'NAME_INVALID')
  })
})

it('a range that ends before it begins is not satisfiable', async () => {
  for (const client of registry.clients) {
    const answer = await client.fetch(`/v2/hello/blobs/${registry.blob.digest}`, {
      headers: { Range: 'bytes=500-0' },
    })
    assert.equal(answer.status, 416)
    assert.equal(answer.headers['content-range'], `bytes */${registry.blob.bytes.length}`)
  }
})
