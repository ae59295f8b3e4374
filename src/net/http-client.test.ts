import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { brotliCompressSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { makeCertificate } from '../../test/support/certificates.ts'
import { createHttpClient } from './http-client.ts'
import { redirectOf } from './redirect.ts'

const undo: (() => unknown)[] = []
after(async () => {
  for (const each of undo.reverse()) await each()
})

/** Serves on a free port of 127.0.0.1, by https with a certificate. */
async function serve(listener: RequestListener, secure?: { key: Buffer; cert: Buffer }): Promise<URL> {
  const server = secure ? createSecureServer(secure, listener) : createServer(listener)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  undo.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return new URL(`http${secure ? 's' : ''}://127.0.0.1:${(server.address() as AddressInfo).port}/`)
}

function clientWith(environment: NodeJS.ProcessEnv) {
  const client = createHttpClient({ environment })
  undo.push(() => client.close())
  return client
}
const client = clientWith({})
const textOf = (body: Buffer | undefined) => body?.toString()

describe('the HTTP client', () => {
  it('uses the proxy from the environment, except for NO_PROXY and this machine', async () => {
    const seen: (string | undefined)[] = []
    const proxy = await serve(({ url }, response) => {
      seen.push(url)
      response.end('by proxy')
    })
    const direct = await serve((_, response) => void response.end('direct'))
    const proxied = clientWith({ http_proxy: proxy.origin, no_proxy: 'b.invalid' })
    const { body } = await proxied.send({ method: 'GET', url: new URL('http://a.invalid/x?y') })
    assert.equal(textOf(body), 'by proxy')
    assert.deepEqual(seen, ['http://a.invalid/x?y'])
    assert.equal(textOf((await proxied.send({ method: 'GET', url: direct })).body), 'direct')
    await assert.rejects(proxied.send({ method: 'GET', url: new URL('http://b.invalid/') }), /b\.invalid/)
    assert.equal(seen.length, 1)
  })

  it('limits a body, also after decompression', async () => {
    const large = 'x'.repeat(100_000)
    const url = await serve((request, response) => {
      const [body, coding] =
        request.url === '/gzip'
          ? [gzipSync(large), 'gzip']
          : request.url === '/br'
            ? [brotliCompressSync(large), 'br']
            : [large, 'identity']
      response.writeHead(200, { 'Content-Encoding': coding }).end(body)
    })
    for (const path of ['/', '/gzip', '/br']) {
      const get = (limit: number) =>
        client.send({ method: 'GET', url: new URL(path, url), limit, compressed: true })
      assert.equal((await get(99_999)).body, undefined, path)
      assert.equal(textOf((await get(100_000)).body), large, path)
    }
    const raw = await client.send({ method: 'GET', url: new URL('/gzip', url) })
    assert.deepEqual(raw.body, gzipSync(large))
  })

  it('fails for a compressed body that is cut or damaged', async () => {
    const url = await serve((request, response) => {
      const bytes = gzipSync('x'.repeat(1000))
      response.writeHead(200, { 'Content-Encoding': 'gzip' })
      response.end(request.url === '/cut' ? bytes.subarray(0, -5) : 'no gzip')
    })
    for (const path of ['/cut', '/damaged']) {
      await assert.rejects(client.send({ method: 'GET', url: new URL(path, url), compressed: true }))
    }
  })

  it('limits the time of a whole exchange, and reports it', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/begins') response.write('begin')
    })
    for (const path of ['/silent', '/begins']) {
      const get = client.send({ method: 'GET', url: new URL(path, url), timeout: 50 })
      await assert.rejects(get, /no response in 0\.05 s/)
    }
  })

  it('sends a body with its length, and fails with the error of the body', async () => {
    const url = await serve((request, response) => {
      request.pipe(response.writeHead(200, { 'X-Length': request.headers['content-length'] }))
    })
    async function* hello() {
      yield Buffer.from('hello')
    }
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield Buffer.from('he')
      throw new Error('the disk is gone')
    }
    const { body, headers } = await client.send({ method: 'PUT', url, body: { size: 5, open: hello } })
    assert.deepEqual([textOf(body), headers['x-length']], ['hello', '5'])
    await assert.rejects(client.send({ method: 'PUT', url, body: { size: 5, open: broken } }), /disk is gone/)
  })
})

describe('an open response of the HTTP client', () => {
  it('is read no faster than its consumer reads', async () => {
    let sent = 0
    const url = await serve((_, response) => {
      const write = () => {
        while (sent < 256e6 && response.write(Buffer.alloc(1e6))) sent += 1e6
        if (sent < 256e6) response.once('drain', write)
        else response.end()
      }
      write()
    })
    const { status, body } = await client.open({ url })
    assert.equal(status, 200)
    let count = 0
    for await (const piece of body) {
      count += piece.length
      if (count > 1e6) break // and the connection is closed
      await sleep(1)
    }
    assert.ok(sent < 64e6, `${sent} bytes were taken for a reader of ${count}`)
  })

  it('keeps its bytes while others arrive on other connections, by http and https', async () => {
    const sizes = [300_000, 500_000, 700_000]
    const bytesOf = (size: number) => Buffer.alloc(size, `${size} `)
    const answer: RequestListener = ({ url: path = '' }, response) =>
      void response.end(bytesOf(Number(path.slice(1))))
    const folder = await mkdtemp(join(tmpdir(), 'nixery-http-client-'))
    undo.push(() => rm(folder, { recursive: true }))
    const { key, cert } = await makeCertificate(folder, 'server')
    const secure = await serve(answer, { key: await readFile(key), cert: await readFile(cert) })
    const trusting = createHttpClient({ environment: {}, verify: false })
    undo.push(() => trusting.close())
    const bodies = await Promise.all(
      [await serve(answer), secure].flatMap((url) =>
        sizes.map(async (size) => {
          const { body } = await trusting.open({ url: new URL(String(size), url) })
          return Buffer.concat(await Array.fromAsync(body))
        }),
      ),
    )
    assert.deepEqual(bodies, [...sizes, ...sizes].map(bytesOf))
  })

  it('leaves no memory for the garbage collector to find but what its reader keeps', async () => {
    const size = 64e6
    const url = await serve((_, response) => void response.end(Buffer.alloc(size)))
    const { body } = await client.open({ url })
    const before = process.memoryUsage().arrayBuffers
    let [read, most] = [0, 0]
    for await (const piece of body) {
      read += piece.length
      if (piece.buffer instanceof ArrayBuffer) piece.buffer.transfer(0)
      most = Math.max(most, process.memoryUsage().arrayBuffers - before)
    }
    assert.equal(read, size)
    assert.ok(most < 8e6, `${most} bytes`)
  })

  it('is decoded, fails if it is truncated, and ends when the signal fires', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/zstd') {
        response.writeHead(200, { 'Content-Encoding': 'zstd' }).end(zstdCompressSync('text'))
      } else {
        response.writeHead(200, { 'Content-Length': 100 }).write('begin')
        if (request.url === '/cut') setImmediate(() => response.destroy())
      }
    })
    const read = async (path: string, signal?: AbortSignal) => {
      const pieces: Buffer[] = []
      const { body } = await client.open({ url: new URL(path, url), signal })
      for await (const piece of body) pieces.push(piece)
      return Buffer.concat(pieces).toString()
    }
    assert.equal(await read('/zstd'), 'text')
    await assert.rejects(read('/cut'), { code: 'ECONNRESET' })
    const ending = new AbortController()
    setTimeout(() => ending.abort(), 20)
    await assert.rejects(read('/silent', ending.signal))
  })

  it('uses a new connection if the kept one was closed', async () => {
    let requests = 0
    const url = await serve((request, response) => {
      requests += 1
      if (requests === 2) request.socket.destroy()
      else response.end('text')
    })
    for (let count = 0; count < 2; count++) {
      const response = await client.open({ url })
      await response.discard()
      assert.equal(response.status, 200)
    }
    assert.equal(requests, 3)
  })
})

describe('a redirect', () => {
  const from = new URL('https://a.example/x/y')
  const rows: [status: number, method: 'GET' | 'PUT', location: string | undefined, expected: unknown][] = [
    [302, 'GET', '/z', ['https://a.example/z', true, false]],
    [301, 'GET', '../z', ['https://a.example/z', true, false]],
    [307, 'PUT', 'https://b.example/', ['https://b.example/', true, false]],
    [308, 'GET', 'http://a.example/x', ['http://a.example/x', true, true]],
    [302, 'GET', 'file:///etc/passwd', ['file:///etc/passwd', false, true]],
    [302, 'PUT', '/z', undefined],
    [304, 'GET', '/z', undefined],
    [302, 'GET', 'http://[', undefined],
  ]
  for (const [status, method, location, expected] of rows) {
    it(`is read from ${status} for ${method} to ${location}`, () => {
      const found = redirectOf(method, { status, headers: { location } }, from)
      assert.deepEqual(found && [found.url.href, found.isHttp, found.losesTls], expected)
    })
  }
})
