import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { dir, file } from '../../layers/testing.ts'
import { openServer, type Reply } from '../../popcount/testing.ts'
import { parseCacheAddress } from './address.ts'
import { openCache } from './cache.ts'
import { isNarCompression } from './decoders.ts'
import type { InCache } from './caches.ts'
import { download, largestFile } from './download.ts'
import { spooledSize } from './fetch.ts'
import { parseNarinfo } from './narinfo.ts'
import { createSigner, narOf, pathOf, sri } from './testing.ts'
import { testTransports } from './transport-testing.ts'
import { BadPath } from './trouble.ts'

const signer = createSigner('good-1')
const nar = narOf(dir({ x: file('text') }))
const a = pathOf('a')
const { client, servers } = testTransports()

describe('a download', () => {
  const spool = mkdtempSync(join(tmpdir(), 'nixery-download-'))
  after(() => rmSync(spool, { recursive: true }))
  afterEach(() => assert.deepEqual(readdirSync(spool), []))

  /** Downloads a cache's file for a path. */
  async function downloaded(reply: Reply, options: Parameters<typeof signer.narinfo>[2]): Promise<Buffer> {
    const server = await openServer((path) => (path === '/nar/x.nar' ? reply : { status: 404 }))
    servers.push(server)
    const cache = openCache(parseCacheAddress(server.url) ?? assert.fail(), {
      client,
      lifetimes: { found: 0, missing: 0 },
      connections: 3,
      stall: 5000,
      login: () => undefined,
      firstDelay: 1,
    })
    const narinfo = parseNarinfo(signer.narinfo(a, nar, options))
    assert.ok('url' in narinfo && isNarCompression(narinfo.compression))
    const found = { cache, narinfo, compression: narinfo.compression, askedAt: 0 }
    const target = join(spool, 'nar')
    const to = { inThreads: new Set(['xz'] as const), onBytes() {} }
    const { content, ...facts } = await download(found, target, to)
    assert.deepEqual(content, { file: target })
    assert.deepEqual(facts, {
      storePath: a,
      compression: 'none',
      narHash: sri(nar),
      narSize: nar.length,
      cache: cache.name,
    })
    const bytes = readFileSync(target)
    rmSync(target)
    const { content: inMemory } = await download(found, target, { ...to, inMemory: true })
    assert.ok('bytes' in inMemory && bytes.equals(inMemory.bytes))
    return bytes
  }

  it('returns the NAR', async () => {
    assert.ok((await downloaded({ body: nar }, {})).equals(nar))
    assert.ok((await downloaded({ body: nar }, { fileFacts: false })).equals(nar))
    const zipped = gzipSync(nar)
    assert.ok((await downloaded({ body: zipped }, { compression: 'gzip', file: zipped })).equals(nar))
  })

  const long = Buffer.alloc(5_000_000)
  const zeros = gzipSync(long)
  const gzip = { compression: 'gzip' }
  const unsized = { fileFacts: false }
  const bad: [what: string, reply: Reply, options: Parameters<typeof signer.narinfo>[2], reason: RegExp][] = [
    ['is not there', { status: 404 }, {}, /does not exist/],
    ['is another file', { body: Buffer.from(nar).fill('z', 100, 110) }, {}, /hash of the file/],
    ['is longer than declared', { body: Buffer.concat([nar, nar]) }, {}, /file is larger/],
    ['is shorter than declared', { body: nar.subarray(0, 90) }, {}, /file is smaller/],
    ['is a page', { body: '<html></html>' }, {}, /file is smaller/],
    ['is no gzip', { body: nar }, gzip, /header/],
    ['expands to far more', { body: zeros }, { ...gzip, file: zeros }, /NAR is larger/],
    ['expands to far more, of undeclared size', { body: zeros }, { ...gzip, ...unsized }, /NAR is larger/],
    ['is far longer, of undeclared size', { body: long }, unsized, /is larger/],
    [
      'is the same, for threads to expand',
      { body: long },
      { ...unsized, compression: 'xz' },
      /file is larger/,
    ],
    ['is elsewhere, in a file', { body: nar }, { url: 'file:///etc/passwd' }, /not allowed/],
  ]
  for (const [what, reply, options, reason] of bad) {
    it(`fails, and leaves nothing, when it ${what}`, async () => {
      await assert.rejects(downloaded(reply, options), (error) => {
        assert.ok(error instanceof BadPath)
        assert.equal(error.storePath, a)
        assert.match(error.message, reason)
        return true
      })
    })
  }

  it('takes no more of the spool than its NAR can need, whatever unsigned file size it has', () => {
    const text = signer
      .narinfo(a, nar, { compression: 'xz' })
      .replace(/^FileSize: .*$/m, 'FileSize: 9000000000')
    const narinfo = parseNarinfo(text)
    assert.ok('url' in narinfo)
    const found = { narinfo, compression: 'xz' } as InCache
    assert.equal(spooledSize(found, { inThreads: new Set(['xz']) }), largestFile(nar.length))
    assert.equal(spooledSize(found, { inThreads: new Set() }), nar.length)
  })
})
