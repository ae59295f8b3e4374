import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { pathToFileURL } from 'node:url'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { openServer } from '../../popcount/testing.ts'
import { meaningOf } from './request.ts'
import { testTransports, textOf, trouble } from './transport-testing.ts'
import { fileTransport, httpTransport, type Transport } from './transport.ts'
import { CacheTrouble } from './trouble.ts'

const { client, servers, serve, requests } = testTransports()
const body = '0123456789'.repeat(10_000)

/** The failure of a request whose response has started: on a busy machine, none may start in time. */
async function failureInTheMiddle(work: () => Promise<unknown>): Promise<Error> {
  for (;;) {
    const error: unknown = await work().then(
      () => assert.fail('it succeeded'),
      (reason: unknown) => reason,
    )
    assert.ok(error instanceof CacheTrouble)
    if (!error.message.startsWith('no data for')) return error
  }
}

describe('a small file over HTTP', () => {
  it('is missing for 404, 410, and 403, as S3 says', async () => {
    for (const status of [404, 410, 403]) {
      const http = await serve(() => ({ status }))
      assert.equal(await http.small(http.url(), 100, undefined), undefined)
    }
  })

  it('is retried only if that may help', async () => {
    const passing = [500, 502, 503, 429, 408]
    const http = await serve((path, nth) => {
      const status = Number(path.slice(1))
      return passing.includes(status) && nth === 3 ? { body: 'there' } : { status }
    })
    for (const status of passing)
      assert.equal((await http.small(http.url(`/${status}`), 100, undefined))?.toString(), 'there')
    for (const status of [400, 401, 501, 505, 511]) {
      await assert.rejects(
        http.small(http.url(`/${status}`), 100, undefined),
        trouble(new RegExp(String(status))),
      )
      assert.equal(requests().filter((path) => path === `/${status}`).length, 1)
    }
    await assert.rejects(http.small(http.url('/504'), 100, undefined), trouble(/504/))
    assert.equal(requests().filter((path) => path === '/504').length, 5)
  })

  it('is requested again when the server demands, but after ten seconds at the latest', () => {
    const waits = { '3': 3000, '3600': 10_000, '-5': 0, soon: 0, 'Fri, 31 Dec 2100 00:00:00 GMT': 10_000 }
    for (const [value, wait] of Object.entries(waits)) {
      const meaning = meaningOf({ status: 503, headers: { 'retry-after': value } })
      assert.ok(meaning instanceof CacheTrouble)
      assert.equal(meaning.retryAfter, wait, value)
    }
  })

  it('is refused when it is too large', async () => {
    const http = await serve(() => ({ body }))
    await assert.rejects(http.small(http.url(), 1000, undefined), trouble(/larger than 1000/))
  })

  it('is aborted when nothing arrives, and when it is no longer needed', async () => {
    const http = await serve(() => new Promise(() => {}), { stall: 500 })
    await assert.rejects(http.small(http.url(), 100, undefined), trouble(/no data for/))
    assert.equal(requests().length, 2)
    const leaving = new AbortController()
    const patient = httpTransport({ client, stall: 60_000, authorization: () => undefined })
    const asking = patient.small(http.url('/y'), 100, leaving.signal)
    leaving.abort(new Error('left'))
    await assert.rejects(asking, /left/)
  })

  it('is aborted if it does not end in time, even if single bytes arrive', async () => {
    const slow = createServer((_request, response) => {
      const timer = setInterval(() => response.write('x'), 5)
      response.on('close', () => clearInterval(timer))
    })
    slow.listen(0, '127.0.0.1')
    await once(slow, 'listening')
    try {
      const url = new URL(`http://127.0.0.1:${(slow.address() as AddressInfo).port}/x`)
      const http = httpTransport({ client, stall: 400, firstDelay: 1, authorization: () => undefined })
      const whole = await failureInTheMiddle(() => http.small(url, 2000, undefined))
      assert.match(whole.message, /a small file did not arrive within 0.4 s/)
      const part = await failureInTheMiddle(() => textOf(http.bytes(url, undefined)))
      assert.match(part.message, /almost no data for 0.4 s/)
    } finally {
      slow.closeAllConnections()
      slow.close()
    }
  })
})

describe('a redirect', () => {
  const secretFor = (host: string) => (url: URL) => (url.host === host ? 'Basic secret' : undefined)

  it('is followed, and credentials are only sent to their own host', async () => {
    const seen: (string | undefined)[] = []
    const elsewhere = await openServer((_path, _nth, { authorization }) => {
      seen.push(authorization)
      return { body: 'there' }
    })
    servers.push(elsewhere)
    const http = await serve((_path, _nth, { authorization }) => {
      seen.push(authorization)
      return { status: 307, headers: { Location: `${elsewhere.url}/y` } }
    })
    const transport = httpTransport({ client, stall: 5000, authorization: secretFor(http.url().host) })
    assert.equal((await transport.small(http.url(), 100, undefined))?.toString(), 'there')
    assert.equal(await textOf(transport.bytes(http.url(), undefined)), 'there')
    assert.deepEqual(seen, ['Basic secret', undefined, 'Basic secret', undefined])
  })

  it('is followed ten times', async () => {
    const http = await serve((path) => {
      const left = Number(path.slice(1))
      return left === 0 ? { body: 'there' } : { status: 302, headers: { Location: `/${left - 1}` } }
    })
    assert.equal((await http.small(http.url('/10'), 100, undefined))?.toString(), 'there')
    await assert.rejects(http.small(http.url('/11'), 100, undefined), trouble(/more than 10 times/))
  })

  it('from https to http is refused', async () => {
    const open = async () => ({
      status: 302,
      headers: { location: 'http://a.invalid/y' },
      body: Readable.from([]),
      discard: async () => {},
    })
    const secure = httpTransport({ client: { open }, stall: 5000, authorization: () => undefined })
    const asking = secure.small(new URL('https://a.invalid/x'), 100, undefined)
    await assert.rejects(asking, trouble(/a URL that is not allowed/))
  })

  for (const [what, location] of [
    ['in a circle', '/x'],
    ['to a file', 'file:///etc/passwd'],
    ['to nowhere', 'http://'],
  ] as const) {
    it(`${what} is refused`, async () => {
      const http = await serve(() => ({ status: 302, headers: { Location: location } }))
      await assert.rejects(http.small(http.url(), 100, undefined), trouble(/redirects/))
      assert.ok(requests().length <= 11)
    })
  }
})

describe('a cache in a folder', () => {
  let folder: string
  let transport: Transport
  const at = (file: string) => new URL(file, pathToFileURL(`${folder}/cache/`))
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'nixery-folder-'))
    mkdirSync(join(folder, 'cache'))
    writeFileSync(join(folder, 'cache', 'x'), body)
    writeFileSync(join(folder, 'secret'), body)
    symlinkSync('nowhere', join(folder, 'cache', 'dangling'))
    symlinkSync('/dev/zero', join(folder, 'cache', 'device'))
    execFileSync('mkfifo', [join(folder, 'cache', 'pipe')])
    transport = fileTransport(pathToFileURL(`${folder}/cache/`))
  })
  after(() => rmSync(folder, { recursive: true }))

  it('is read like any other', async () => {
    assert.equal((await transport.small(at('x'), 200_000, undefined))?.toString(), body)
    assert.equal(await transport.small(at('none'), 10, undefined), undefined)
    assert.equal(await textOf(transport.bytes(at('x'), undefined)), body)
    await assert.rejects(transport.small(at('x'), 10, undefined), trouble(/larger/))
    await assert.rejects(textOf(transport.bytes(at('none'), undefined)), CacheTrouble)
    await assert.rejects(transport.small(at('.'), 100_000, undefined), CacheTrouble)
  })

  it('is not read if a file is a pipe or a device, which may never end', async () => {
    for (const name of ['pipe', 'device']) {
      await assert.rejects(transport.small(at(name), 200_000, undefined), trouble(/not a regular file/))
      await assert.rejects(textOf(transport.bytes(at(name), undefined)), trouble(/not a regular file/))
    }
  })

  it('is never left', async () => {
    for (const name of ['../secret', '..%2fsecret', '%2e%2e/secret']) {
      await assert.rejects(transport.small(at(name), 200_000, undefined), CacheTrouble, name)
      await assert.rejects(textOf(transport.bytes(at(name), undefined)), CacheTrouble, name)
    }
  })
})
