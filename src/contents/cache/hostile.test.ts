import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { StorePath } from '../../image/store-path.ts'
import { dir, file } from '../../layers/testing.ts'
import { createHttpClient } from '../../net/http-client.ts'
import { createLimiter } from '../../queue/limiter.ts'
import { basic, parseCacheAddress } from './address.ts'
import { openCache } from './cache.ts'
import { createCaches, type LookUpOptions } from './caches.ts'
import { download } from './download.ts'
import { largestNarinfo, parseNarinfo } from './narinfo.ts'
import { createSigner, inCache, narOf, pathOf } from './testing.ts'
import { BadPath } from './trouble.ts'
import { walkCaches } from './walk.ts'

const signer = createSigner('good-1')
const nar = narOf(dir({ x: file('text') }))
const path = pathOf('a')
const narinfo = signer.narinfo(path, nar)
const spool = mkdtempSync(join(tmpdir(), 'nixery-hostile-'))
const client = createHttpClient()
const undo: (() => unknown)[] = [() => client.close(), () => rmSync(spool, { recursive: true })]
after(async () => {
  for (const each of undo.reverse()) await each()
})

type Answer = (response: ServerResponse) => void
const sending =
  (body: string | Buffer, headers: Record<string, string> = {}): Answer =>
  (response) =>
    void response.writeHead(200, headers).end(body)
/** Chunks without an end. */
const endless: Answer = (response) => {
  const more = () => {
    while (response.write(Buffer.alloc(64 * 1024, 'x')));
    response.once('drain', more)
  }
  more()
}

const lifetimes = { found: 60_000, missing: 60_000 }
const options = { client, lifetimes, connections: 3, stall: 60_000, login: () => undefined, firstDelay: 1 }

/** Serves on a free port; returns the URL. */
async function serve(
  listener: (response: ServerResponse, request: IncomingMessage) => void,
): Promise<string> {
  const server = createServer((request, response) => listener(response, request))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  undo.push(() => {
    server.closeAllConnections()
    server.close()
  })
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Looks up the path in a cache that responds to some requests in its own way. */
async function hostile(answers: { info?: Answer; narinfo?: Answer; nar?: Answer }) {
  const address = parseCacheAddress(
    await serve((response, { url = '' }) => {
      if (url === '/nix-cache-info') (answers.info ?? sending('StoreDir: /nix/store\n'))(response)
      else if (url.endsWith('.narinfo')) (answers.narinfo ?? sending(narinfo))(response)
      else (answers.nar ?? sending(nar))(response)
    }),
  )
  const caches = createCaches([openCache(address ?? assert.fail(), options)], {
    keys: signer.keys,
    requireSignatures: true,
    lifetimes,
  })
  return caches.lookUp(path, { avoid: new Set(), onTrouble() {} })
}
const reasonsOf = (answer: object): string => ('reasons' in answer ? String(answer.reasons) : 'was found')

describe('a hostile binary cache', () => {
  it('does not keep the program busy by a description of blanks', async () => {
    const before = process.cpuUsage()
    const answer = await hostile({ info: sending(`StoreDir: x${' '.repeat(65_000)}y`) })
    const { user, system } = process.cpuUsage(before)
    assert.match(reasonsOf(answer), /its store is not \/nix\/store/)
    // A regular expression that trims the value takes 5 s.
    assert.ok(user + system < 2e6, `${(user + system) / 1e6} s`)
  })

  it('is not used if its description is too large', async () => {
    const answer = await hostile({ info: sending(`StoreDir: /nix/store\n${'x'.repeat(70_000)}`) })
    assert.match(reasonsOf(answer), /a file is larger than 65536 bytes/)
  })

  const large: [what: string, answer: Answer][] = [
    ['has no end', endless],
    ['is too large', sending(`${narinfo}X: ${'x'.repeat(largestNarinfo)}\n`)],
    ['expands to far more', sending(gzipSync(Buffer.alloc(50e6)), { 'Content-Encoding': 'gzip' })],
  ]
  for (const [what, answer] of large) {
    it(`is refused when a narinfo ${what}`, async () => {
      assert.match(reasonsOf(await hostile({ narinfo: answer })), /a file is larger than 1048576 bytes/)
    })
  }

  it('is refused when a narinfo has the facts of another path, or its signature', async () => {
    const other = signer.narinfo(pathOf('b'), nar)
    assert.match(reasonsOf(await hostile({ narinfo: sending(other) })), /narinfo of another path/)
    const renamed = sending(other.replace(pathOf('b'), path))
    assert.match(reasonsOf(await hostile({ narinfo: renamed })), /the signature is wrong/)
  })

  it('is refused when it sends headers without an end', async () => {
    const headers = { 'X-Large': 'x'.repeat(100_000) }
    assert.match(reasonsOf(await hostile({ narinfo: sending(narinfo, headers) })), /Header overflow/i)
  })

  it('cannot fill the disk with a file without an end', async () => {
    const unsized = signer.narinfo(path, nar, { fileFacts: false })
    const found = await hostile({ narinfo: sending(unsized), nar: endless })
    assert.ok('cache' in found)
    let bytes = 0
    const onBytes = (count: number) => void (bytes += count)
    await assert.rejects(download(found, join(spool, 'nar'), { inThreads: new Set(), onBytes }), BadPath)
    assert.ok(bytes < 2e6, `${bytes} bytes`)
    assert.deepEqual(readdirSync(spool), [])
  })

  it('cannot fill the memory with paths', async () => {
    const [, found] = inCache(path, file('text'))
    const connections = createLimiter(1)
    let count = 0
    const lookUp = (_: StorePath, demand: LookUpOptions) =>
      connections.run(async () => {
        const names = Array.from({ length: 10_000 }, () => String((count += 1)).padStart(32, '0'))
        const references = names.map((name) => `/nix/store/${name}-x` as StorePath)
        return { ...found, narinfo: { ...found.narinfo, references } }
      }, demand)
    const walked = await walkCaches({ lookUp }, [path], { avoid: new Set(), onTrouble() {} })
    assert.match(reasonsOf(walked), /the closure has more than 50000 paths/)
  })

  it('cannot refer to files of this machine, or of less secure addresses', async () => {
    const rows = [
      ['http://a.invalid', 'file:///etc/passwd'],
      ['https://a.invalid', 'http://a.invalid/nar/x'],
      ['file:///srv/cache', 'http://a.invalid/nar/x'],
      ['http://a.invalid', 'ftp://a.invalid/nar/x'],
    ] as const
    for (const [of, url] of rows) {
      const parsed = parseNarinfo(signer.narinfo(path, nar, { url }))
      assert.ok('url' in parsed)
      const cache = openCache(parseCacheAddress(of) ?? assert.fail(), options)
      await assert.rejects(
        cache.reading(parsed, {}, () => assert.fail('it was requested')),
        /a URL that is not allowed/,
      )
    }
  })

  it('gets no credentials of another one that refers to it', async () => {
    const seen: (string | undefined)[] = []
    const noting = (_: ServerResponse, { headers }: IncomingMessage) => void seen.push(headers.authorization)
    const elsewhere = await serve((response, request) => {
      noting(response, request)
      response.end(nar)
    })
    const referring = await serve((response, request) => {
      noting(response, request)
      if (request.url === '/nar/moved') response.writeHead(307, { Location: `${elsewhere}/x` })
      response.end()
    })
    const address = parseCacheAddress(referring.replace('//', '//me:secret@')) ?? assert.fail()
    const cache = openCache(address, options)
    for (const url of ['nar/moved', `${elsewhere}/x`]) {
      const parsed = parseNarinfo(signer.narinfo(path, nar, { url }))
      assert.ok('url' in parsed)
      await cache.reading(parsed, {}, (bytes) => Array.fromAsync(bytes))
    }
    assert.deepEqual(seen, [basic('me', 'secret'), undefined, undefined])
  })

  it('cannot fill the memory with references, or cause concurrent lookups of all of them', async () => {
    const [, found] = inCache(path, file('text'))
    const references = Array.from({ length: 10_000 }, (_, index) => pathOf(String(index)))
    const connections = createLimiter(25)
    let [lookUps, narinfos, most] = [0, 0, 0]
    const lookUp = async (_: StorePath, demand: LookUpOptions) => {
      lookUps += 1
      most = Math.max(most, lookUps)
      try {
        return await connections.run(async () => {
          narinfos += 1
          return { ...found, narinfo: { ...found.narinfo, references } }
        }, demand)
      } finally {
        lookUps -= 1
      }
    }
    const walked = await walkCaches({ lookUp }, [path], { avoid: new Set(), onTrouble() {} })
    assert.match(reasonsOf(walked), /the closure has more than 1000000 references/)
    // A hundred have too many references; others had been requested before the last of them arrived.
    assert.ok(narinfos <= 100 + 256, `${narinfos} narinfos`)
    assert.equal(most, 256)
  })
})
