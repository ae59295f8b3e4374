import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { gzipSync } from 'node:zlib'
import { hasCode, NixeryError } from '../errors.ts'
import { createHttpClient } from '../net/http-client.ts'
import { findRelease } from './channel.ts'
import { below, createGet, parseAddress } from './get.ts'
import { openServer, type Reply, type TestServer } from './testing.ts'

const get = createGet({ retries: 2, firstDelay: 1 })
const commit = '0123456789'.repeat(4)

const answers: Record<string, (nth: number) => Reply | Promise<Reply>> = {
  '/fine': () => ({ body: 'fine', headers: { ETag: '"1"' } }),
  '/404': () => ({ status: 404, body: 'no' }),
  '/401': () => ({ status: 401 }),
  '/500-once': (nth) => (nth === 1 ? { status: 500 } : { body: 'at last' }),
  '/429-once': (nth) => (nth === 1 ? { status: 429, headers: { 'Retry-After': '1' } } : { body: 'at last' }),
  '/503-for-ever': () => ({ status: 503, headers: { 'Retry-After': 'Thu, 01 Jan 1970 00:00:00 GMT' } }),
  '/cut-once': (nth) => ({ body: 'at last', cut: nth === 1 }),
  '/cut': () => ({ body: 'never whole', cut: true }),
  '/large': () => ({ body: 'x'.repeat(1001) }),
  '/bomb': () => ({ body: gzipSync('x'.repeat(100_000)), headers: { 'Content-Encoding': 'gzip' } }),
  '/slow': () => sleep(2_000, { body: 'late' }),
  '/moved': () => ({ status: 302, headers: { Location: '/fine' } }),

  '/channels/one': () => ({ status: 302, headers: { Location: '/releases/one-1' } }),
  '/channels/two': () => ({ status: 301, headers: { Location: '/again/channels/two' } }),
  '/again/channels/two': () => ({ status: 302, headers: { Location: '../../releases/one-1/' } }),
  '/channels/mirrored': () => ({ body: '<html>' }),
  '/channels/mirrored/git-revision': () => ({ body: commit }),
  '/channels/loop': () => ({ status: 302, headers: { Location: '/channels/loop' } }),
  '/channels/lost': () => ({ status: 302 }),
  '/channels/empty': () => ({ status: 302, headers: { Location: '/releases/empty-1' } }),
  '/channels/odd': () => ({ status: 302, headers: { Location: '/releases/odd-1' } }),
  '/releases/one-1/git-revision': () => ({ body: `${commit}\n` }),
  '/releases/odd-1/git-revision': () => ({ body: '../../etc/passwd' }),
}

let server: TestServer
let folder: string
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'nixery-get-'))
  server = await openServer((path, nth, headers) =>
    path.startsWith('/secret')
      ? { body: `${headers.authorization} ${headers['if-none-match']}` }
      : (answers[path]?.(nth) ?? { status: 404 }),
  )
})
after(async () => {
  await server.close()
  await rm(folder, { recursive: true })
})

const at = (path: string) => new URL(path, server.url)
const requestsFor = (path: string) => server.requests.filter((each) => each === path).length

describe('get', () => {
  const rows: [path: string, expected: string | number, requests: number][] = [
    ['/fine', 'fine', 1],
    ['/404', 404, 1],
    ['/401', 401, 1],
    ['/500-once', 'at last', 2],
    ['/429-once', 'at last', 2],
    ['/cut-once', 'at last', 2],
    ['/moved', 'fine', 1],
  ]
  for (const [path, expected, requests] of rows) {
    it(`gives ${expected} for ${path} after ${requests} requests`, async () => {
      const started = performance.now()
      const { status, body } = await get(at(path), { limit: 1000 })
      assert.equal(status === 200 ? body.toString() : status, expected)
      assert.equal(requestsFor(path), requests)
      // Timers may be early by a millisecond.
      if (path === '/429-once') assert.ok(performance.now() - started >= 990)
    })
  }

  const failures: [path: string, message: RegExp, requests: number][] = [
    ['/503-for-ever', /cannot read http.*\/503-for-ever: it responded with 503/, 3],
    ['/cut', /cannot read .*\/cut: /, 3],
    ['/large', /larger than 1000 bytes/, 1],
    ['/bomb', /larger than 1000 bytes/, 1],
    ['/slow', /no response in 0.4 s/, 3],
  ]
  for (const [path, message, requests] of failures) {
    it(`fails for ${path} after ${requests} requests`, async () => {
      await assert.rejects(
        get(at(path), { limit: 1000, timeout: path === '/slow' ? 400 : 60_000 }),
        (error) => hasCode(error, 'SOURCE_INVALID') && message.test(error.message),
      )
      assert.equal(requestsFor(path), requests)
    })
  }

  it('reports the reason if no server listens', async () => {
    const closed = await openServer(() => ({}))
    await closed.close()
    await assert.rejects(get(new URL(closed.url), { limit: 1 }), /ECONNREFUSED/)
  })

  it('sends user and password, and hides them in messages', async () => {
    const url = at('/secret')
    url.username = 'me'
    url.password = 'p%40ss'
    const { body } = await get(url, { limit: 1000, etag: '"1"' })
    assert.equal(body.toString(), `Basic ${Buffer.from('me:p@ss').toString('base64')} "1"`)
    url.search = '?token=hidden'
    await assert.rejects(get(url, { limit: 1 }), (error: Error) => !/p@ss|p%40ss|hidden/.test(error.message))
  })

  it('uses the proxy from the environment', async () => {
    const proxy = await openServer((path) => ({ body: `by proxy: ${path}` }))
    const client = createHttpClient({ environment: { HTTP_PROXY: proxy.url } })
    const proxied = createGet({ retries: 0, firstDelay: 1 }, client)
    const { body } = await proxied(new URL('http://cache.invalid/nix-cache-info'), { limit: 1000 })
    assert.equal(body.toString(), 'by proxy: http://cache.invalid/nix-cache-info')
    client.close()
    await proxy.close()
  })

  it('follows redirects, but not in cycles, and sends credentials to no other server', async () => {
    const other = await openServer((_, __, { authorization }) => ({ body: `other: ${authorization}` }))
    const first = await openServer((path) => ({
      status: 302,
      headers: { Location: path === '/away' ? `${other.url}/x` : path },
    }))
    const url = new URL(first.url.replace('//', '//me:secret@'))
    const { body } = await get(new URL('/away', url), { limit: 1000 })
    assert.equal(body.toString(), 'other: undefined')
    await assert.rejects(get(new URL('/circle', url), { limit: 1000 }), /redirects more than 5 times/)
    assert.equal(first.requests.filter((path) => path === '/circle').length, 6, 'and is not retried')
    await first.close()
    await other.close()
  })

  it('ends immediately when its signal fires, also between two attempts', async () => {
    const patient = createGet({ retries: 5, firstDelay: 60_000 })
    for (const path of ['/slow', '/503-for-ever']) {
      const reason = new NixeryError('CANCELLED', 'enough')
      const stop = new AbortController()
      setTimeout(() => stop.abort(reason), 100)
      await assert.rejects(patient(at(path), { limit: 1000, signal: stop.signal }), reason)
    }
  })

  it('reads files', async () => {
    const file = join(folder, 'file')
    const url = pathToFileURL(file)
    assert.equal((await get(url, { limit: 4 })).status, 404)
    await writeFile(file, 'text')
    const { status, body, etag } = await get(url, { limit: 4 })
    assert.deepEqual([status, body.toString()], [200, 'text'])
    assert.equal((await get(url, { limit: 4, etag })).status, 304)
    await writeFile(file, 'other')
    assert.equal((await get(url, { limit: 5, etag })).body.toString(), 'other')
    await assert.rejects(get(url, { limit: 4 }), /larger than 4 bytes/)
    await assert.rejects(get(pathToFileURL(folder), { limit: 4096 * 16 }), /EISDIR/)
    await assert.rejects(get(new URL('file://elsewhere/file'), { limit: 4 }), { code: 'SOURCE_INVALID' })
  })
})

describe('addresses', () => {
  it('are http, https or file', () => {
    for (const text of ['http://h', 'https://u:p@h:1/p', 'file:///f']) assert.ok(parseAddress(text))
    for (const text of ['', 'h', '/f', 's3://b', 'javascript:1', 'data:,1', 'http://']) {
      assert.throws(() => parseAddress(text), { code: 'CONFIG_INVALID' })
    }
  })

  it('are joined below their path', () => {
    const rows = [
      ['http://h', 'http://h/x'],
      ['http://h/a', 'http://h/a/x'],
      ['http://h/a//?token=1', 'http://h/a/x?token=1'],
    ]
    for (const [base = '', joined] of rows) assert.equal(below(new URL(base), 'x').href, joined)
  })
})

describe('findRelease', () => {
  const find = (channel: string) => findRelease(get, at('/channels'), channel, undefined)
  const rows: [channel: string, folder: string][] = [
    ['one', '/releases/one-1'],
    ['two', '/releases/one-1/'],
    ['mirrored', '/channels/mirrored'],
  ]
  for (const [channel, path] of rows) {
    it(`finds ${channel} at ${path}`, async () => {
      assert.deepEqual(await find(channel), { url: at(path), commit })
    })
  }

  const refused: [channel: string, code: string, message: RegExp][] = [
    ['none', 'SOURCE_INVALID', /no channel found at .*\/channels\/none: the server responded with 404/],
    ['loop', 'SOURCE_INVALID', /redirects more than 5 times/],
    ['lost', 'SOURCE_INVALID', /the server responded with 302/],
    ['empty', 'SOURCE_INVALID', /git-revision: the server responded with 404/],
    ['odd', 'SOURCE_INVALID', /it is not a commit/],
    ['../one', 'CONFIG_INVALID', /not a valid channel name/],
    ['', 'CONFIG_INVALID', /not a valid channel name/],
    ['a b', 'CONFIG_INVALID', /not a valid channel name/],
  ]
  for (const [channel, code, message] of refused) {
    it(`refuses ${JSON.stringify(channel)}`, () => assert.rejects(find(channel), { code, message }))
  }
})
