import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildsOf } from '../builds/builds-testing.ts'
import { hasCode, NixeryError } from '../errors.ts'
import { createAddressOf, createClientOf } from './address.ts'
import { boundConnections, filesKept, openFilesOf } from './open-files.ts'
import { createPace } from './pace.ts'
import { isStream, type Reply } from './reply.ts'
import { listen } from './server.ts'
import { createStreams } from './streams.ts'
import { codeOf, openTestRegistry, refuseRequest } from './testing.ts'

const undo: (() => unknown)[] = []
afterEach(async () => {
  for (const each of undo.splice(0).reverse()) await each()
})

describe('a reader below the minimum rate', () => {
  const window = 400
  async function serve(minRate: number) {
    const server = await listen(
      {
        handle(_, response) {
          response.writeHead(200, { 'Content-Length': '100000000' })
          response.write(Buffer.alloc(50_000_000))
        },
        refuse: refuseRequest,
      },
      { host: '127.0.0.1', port: 0, limits: { minRate, rateWindow: window } },
    )
    undo.push(() => server.close(0))
    const socket = connect(server.port, '127.0.0.1')
    undo.push(() => socket.destroy())
    socket.on('error', () => {})
    socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    await once(socket, 'readable')
    return { server, socket }
  }

  it('is disconnected, even if it reads a little now and then', async () => {
    const { server, socket } = await serve(1e9)
    const trickle = setInterval(() => socket.read(), 20)
    undo.push(() => clearInterval(trickle))
    while (server.traffic().slow === 0) await sleep(20)
    while (server.traffic().connections > 0) await sleep(20)
  })

  it('is not disconnected if the minimum rate is low or 0', async () => {
    const { server } = await serve(0)
    await sleep(3 * window)
    assert.equal(server.traffic().slow, 0)
  })

  it('is measured only while data is available', () => {
    const [reader, pace] = [{}, createPace(1000, 30_000)]
    const look = (seconds: number, written: number, queued: number) =>
      pace.isTooSlow(reader, { written, waiting: queued, queued }, seconds * 1000)
    assert.equal(look(0, 1e6, 1e5), false)
    assert.equal(look(29, 1e6, 1e5), false)
    assert.equal(look(30, 1e6, 7e4), false) // 1,000 bytes a second
    assert.equal(look(60, 1e6, 4.5e4), true)
    assert.equal(look(70, 1e6, 0), false) // it has read everything
    assert.equal(look(500, 2e6, 1e5), false)
    assert.equal(look(529, 2e6, 1e5), false)
    assert.equal(look(530, 2e6, 1e5), true)
  })
})

describe('createClientOf', () => {
  const rows: [trusted: string, peer: string, forwarded: string | undefined, client: string | undefined][] = [
    ['private', '192.0.2.1', undefined, '192.0.2.1'],
    ['private', '::ffff:192.0.2.1', undefined, '192.0.2.1'],
    ['private', '192.0.2.1', '198.51.100.1', '192.0.2.1'], // not a trusted proxy
    ['private', '127.0.0.1', undefined, undefined],
    ['private', '10.1.2.3', '198.51.100.1', '198.51.100.1'],
    ['private', '::1', 'invented, 198.51.100.1', '198.51.100.1'],
    ['private', '::1', '203.0.113.9, 198.51.100.1, 10.0.0.1', '198.51.100.1'],
    ['private', '::1', '198.51.100.1:1234', '198.51.100.1'],
    ['private', '::1', '[2001:db8:1:2:3::4]:1234', '2001:db8:1:2::/64'],
    ['private', '::1', 'unknown', undefined],
    ['private', '::1', '', undefined],
    ['private', 'fe80::1%eth0', undefined, undefined],
    ['none', '127.0.0.1', '198.51.100.1', '127.0.0.1'],
    ['none', '2001:db8::1', undefined, '2001:db8:0:0::/64'],
    ['none', '2001:0DB8:0000:0:ffff::1', undefined, '2001:db8:0:0::/64'],
    ['203.0.113.0/24', '203.0.113.7', '198.51.100.1', '198.51.100.1'],
    ['2001:db8::/32', '2001:db8::1', '198.51.100.1', '198.51.100.1'],
    ['203.0.113.7', '203.0.113.8', '198.51.100.1', '203.0.113.8'],
  ]
  for (const [trusted, peer, forwarded, client] of rows) {
    it(`${peer}, ${forwarded ?? 'nothing forwarded'}, trusting ${trusted}`, () =>
      assert.equal(createClientOf([trusted])(peer, forwarded), client))
  }

  it('is used for quotas, with the network of private IPv6 addresses', () => {
    const addressOf = createAddressOf(createClientOf(['private']))
    assert.equal(addressOf('fd00::1:2', undefined), 'fd00:0:0:0::/64')
    assert.equal(addressOf('fe80::2%eth0', undefined), 'fe80:0:0:0::/64')
    assert.equal(addressOf('::1', 'fd00::3:4'), 'fd00:0:0:0::/64')
    assert.equal(addressOf('::ffff:10.0.0.1', undefined), '10.0.0.1')
    assert.equal(addressOf('10.0.0.1', '198.51.100.1, 10.0.0.2'), '198.51.100.1')
    assert.equal(addressOf('10.0.0.1', '10.0.0.2'), '10.0.0.2')
    assert.equal(addressOf('10.0.0.1', 'unknown'), '10.0.0.1')
  })

  it('takes no time for long texts, which any client can send', () => {
    const before = process.cpuUsage()
    for (const text of [':', '.', '1', '[', ']', ':1', '[]', ' ', '%'])
      assert.equal(createClientOf(['private'])('::1', `x${text.repeat(7000)}!`), undefined)
    assert.equal(createClientOf(['private'])('::1', `${':'.repeat(2000)}!`), undefined)
    const { user } = process.cpuUsage(before)
    assert.ok(user < 500_000, `${user / 1e6} s`)
  })
})

it('each client gets its share of the streams', async () => {
  async function* chunks() {
    yield Buffer.from('a')
  }
  const reply: Reply = {
    status: 200,
    headers: {},
    body: { open: () => Promise.resolve({ chunks, close: () => Promise.resolve() }) },
  }
  const streams = createStreams(4, 2)
  const open = (client: string | undefined) => {
    const { body } = streams.bound(reply, client)
    assert.ok(isStream(body))
    return body.open()
  }
  const [first] = [await open('a'), await open('a')]
  await assert.rejects(open('a'), (error) => hasCode(error, 'OVERLOADED'))
  await open('b')
  await first.close()
  await open('a')
  await open(undefined)
  await assert.rejects(open('b'), (error) => hasCode(error, 'OVERLOADED')) // all four are in use
})

describe('the limit of open files', () => {
  it('limits connections, so that files can still be opened', () => {
    const bound = (limit: number) => boundConnections(8192, { limit, open: 40, streams: 512 })
    assert.deepEqual([1e6, 8808, 1024, 256, 64, 0].map(bound), [8192, 8192, 460, 76, 1, 1])
    for (let limit = 200; limit < 20_000; limit += 7) {
      const connections = bound(limit)
      assert.ok(40 + filesKept + connections + Math.min(512, connections) <= limit)
    }
  })

  it('is read from the system', () => {
    const { limit = 0, open = 0 } = openFilesOf() ?? {}
    assert.ok(limit > open && open > 3)
  })

  it('is reported as a server error when it is reached, whatever failed', async () => {
    const cause = Object.assign(new Error('too many open files'), { code: 'EMFILE' })
    for (const error of [cause, new NixeryError('SOURCE_INVALID', 'there is no package set', { cause })]) {
      const registry = await openTestRegistry({ builds: buildsOf(() => Promise.reject(error)) })
      undo.push(() => registry.dispose())
      const answer = await registry.clients[1].fetch('/v2/hello/manifests/latest')
      assert.equal(answer.status, 503)
      assert.match(answer.headers['retry-after'] ?? '', /^\d+$/)
      assert.equal(codeOf(answer), 'UNKNOWN')
    }
  })
})
